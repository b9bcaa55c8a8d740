"""What stores answer, as the client hands it on: told apart by what servers call it, and said in words."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from scripted_stores import Answer, GoogleStore, error, listing, scripted

from indexes.errors import DataError, OutputError
from pipeline.commit import Unit, attempt, check_sound, find
from pipeline.commit.holding import hold_output, open_output
from pipeline.commit.on_stores import object_name
from pipeline.stores import objects as objects_module
from pipeline.stores.brought_sets import brought
from pipeline.stores.credentials import configuration
from pipeline.stores.objects import Objects
from pipeline.stores.set_listing import set_objects
from pipeline.stores.store_addresses import parse_address
from pipeline.stores.store_errors import in_words
from pipeline.stores.working_copies import folder_of

pytest.importorskip("obstore", reason="obstore, the library for stores, is not installed")
S3 = parse_address("s3://bucket/run")
RIGHTS = "Give them the right to list, read, write and delete there"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the environment say nothing of stores, and nobody be asked twice."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "AZURE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NEARFAR_COPIES", str(tmp_path / "copies"))
    monkeypatch.setattr(objects_module, "_RETRIES", {"max_retries": 0})
    monkeypatch.setattr(objects_module, "_wait", lambda tried: None)


class _Fixed:
    """A server with one answer, whatever it is asked."""

    def __init__(self) -> None:
        self.answer: Answer = error(500, "InternalError")

    def __call__(self, asked: BaseHTTPRequestHandler, body: bytes) -> Answer:
        return self.answer


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Fixed]:
    with scripted(fixed := _Fixed()) as endpoint:
        for name, value in (("ENDPOINT_URL", endpoint), ("ALLOW_HTTP", "true"), ("SKIP_SIGNATURE", "true")):
            monkeypatch.setenv(f"AWS_{name}", value)
        yield fixed


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (error(403, "AccessDenied"), RIGHTS),
        (error(403, "Forbidden"), RIGHTS),
        (error(400, "ExpiredToken"), "or they have expired. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        (error(301, "PermanentRedirect"), "in another region, or behind another endpoint. Set AWS_REGION"),
        (error(400, "AuthorizationHeaderMalformed"), "Set AWS_REGION"),
        (error(403, "RequestTimeTooSkewed"), "Set this machine's clock right"),
        (error(503, "SlowDown"), r"asked \(503\). Look whether the endpoint \(AWS_ENDPOINT_URL\) is right"),
        (error(404, "NoSuchBucket"), "there is no such bucket"),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else None,
)
def test_it_is_told_by_what_the_server_calls_it_and_not_by_names(
    says: _Fixed, answer: Answer, words: str
) -> None:
    """An object may be called by the number of another refusal, as shards often are."""
    says.answer = answer
    objects = Objects(parse_address("s3://bucket/401/507"))
    with pytest.raises(OutputError, match=words):
        objects.read("501/403.tar")
    with pytest.raises(OutputError, match=words):
        objects.listing()
    with pytest.raises(OutputError, match=words):
        objects.write("501/403.tar", b"x")
    with pytest.raises(OutputError, match=words):
        objects.remove(["501/403.tar"])


def test_times_and_names_decide_nothing() -> None:
    asked = "Error performing GET http://h/bucket/run/AccessDenied/501.tar in 403.5ms, after 301 retries"
    for address, variable in (
        ("s3://bucket/x", "AWS_ENDPOINT_URL"),
        ("az://bucket/x", "AZURE_STORAGE_ENDPOINT"),
    ):
        words = in_words(parse_address(address), f"{asked} - HTTP error\n\nDebug source:\nstatus code: 403")
        assert f"asked (no answer). Look whether the endpoint ({variable})" in words


def test_what_lasts_is_not_waited_for_and_what_may_pass_is(
    says: _Fixed, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[int] = []
    monkeypatch.setattr(objects_module, "_wait", waited.append)
    objects = Objects(S3)
    for status, code in ((400, "ExpiredToken"), (301, "PermanentRedirect"), (403, "Forbidden")):
        says.answer = error(status, code)
        with pytest.raises(OutputError):
            objects.write_new("record", b"mine")
    assert not waited
    says.answer = error(404, "NoSuchKey")  # to a write, as from an endpoint that is no store
    with pytest.raises(OutputError, match=r"asked \(404\)"):
        objects.write_new("record", b"mine")
    assert len(waited) == objects_module._DECISIONS
    with pytest.raises(OutputError, match=r"asked \(404\)"):
        objects.write("record", b"mine")


def test_a_right_that_lacks_for_one_object_of_many_is_said(says: _Fixed) -> None:
    said = "<Error><Key>run/x</Key><Code>AccessDenied</Code><Message>No.</Message></Error>"
    says.answer = 200, {}, f"<?xml version='1.0'?><DeleteResult>{said}</DeleteResult>".encode()
    with pytest.raises(OutputError, match=f"cannot delete from '{S3}': .*{RIGHTS}"):
        Objects(S3).remove(["x", "y"])


@pytest.mark.parametrize("name", ["a//b", "a/../b", "./b", "a\tb"])
def test_a_name_that_no_file_can_have_is_renamed_as_the_message_says(says: _Fixed, name: str) -> None:
    says.answer = listing([f"run/{name}"])
    with pytest.raises(
        OutputError, match=r"cannot list .*\. Rename that object, or name a folder without it"
    ):
        Objects(S3).listing()
    says.answer = listing(["run/a/b"])
    assert [one.name for one in Objects(S3).listing()] == ["a/b"]


def test_a_name_that_is_too_long_for_a_file_is_renamed_as_the_message_says(says: _Fixed) -> None:
    says.answer = listing([f"run/a/{'x' * 256}"])
    with pytest.raises(DataError, match="which no file system can have; rename that object"):
        set_objects(Objects(S3))
    says.answer = listing([f"run/{'a' * 200}/{'x' * 255}"])
    assert len(set_objects(Objects(S3))) == 1
    says.answer = error(400, "KeyTooLongError")
    with pytest.raises(OutputError, match="Name a folder with a shorter one"):
        Objects(S3).write("x" * 2000, b"x")


def test_what_runs_below_a_set_write_is_none_of_it(says: _Fixed) -> None:
    """It comes and goes while the set is brought; beside it a user may keep files."""
    theirs = ["run/0.tar", "run/a/mine/1.tar", "run/measures/of_mine.parquet", "run/ab/samples/x.parquet"]
    runs = [
        f"run/a/{name}"
        for name in ("plan.lock.yaml", ".lock", "samples/x.parquet", "purge.json", "inputs.json")
    ]
    says.answer = listing(sorted([*theirs, *runs]), [1] * 9)
    assert [one.name for one in set_objects(Objects(S3))] == sorted(name[4:] for name in theirs)


def test_a_state_is_the_same_whether_its_version_is_told_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of buckets that keep versions, some servers tell it of what is read and not of what was written."""
    answers = [error(409, "ConditionalRequestConflict"), (200, {"ETag": '"later"'}, b"")]

    def answering(asked: BaseHTTPRequestHandler, body: bytes) -> Answer:
        when = {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        now = 200, {"ETag": '"seen"', "x-amz-version-id": "null", **when}, b"before"
        return answers.pop(0) if asked.command == "PUT" else now

    with scripted(answering) as endpoint:
        for name, value in (("ENDPOINT_URL", endpoint), ("ALLOW_HTTP", "true"), ("SKIP_SIGNATURE", "true")):
            monkeypatch.setenv(f"AWS_{name}", value)
        assert Objects(S3).replace("record", b"mine", {"e_tag": '"seen"'}) == {"e_tag": '"later"'}
    assert answers == []


def test_an_object_that_goes_between_the_listing_and_its_bringing_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answering(asked: BaseHTTPRequestHandler, body: bytes) -> Answer:
        return listing(["run/notes.txt"], [3]) if "list-type" in asked.path else error(404, "NoSuchKey")

    with scripted(answering) as endpoint:
        for name, value in (("ENDPOINT_URL", endpoint), ("ALLOW_HTTP", "true"), ("SKIP_SIGNATURE", "true")):
            monkeypatch.setenv(f"AWS_{name}", value)
        with pytest.raises(
            DataError, match=r"run/notes\.txt' changed since the run began; stop what is writing"
        ):
            brought(str(S3))


def test_credentials_are_asked_for_by_the_names_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match=r"no credentials were found\. Set AZURE_STORAGE_ACCOUNT_NAME"):
        Objects(parse_address("az://bucket/run"))
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    Objects(parse_address("az://bucket/run"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/not/there.json")
    with pytest.raises(OutputError, match=r"cannot be read\. Set GOOGLE_APPLICATION_CREDENTIALS"):
        Objects(parse_address("gs://bucket/run"))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    Objects(parse_address("gs://bucket/run"))
    asked = "GET http://169.254.169.254/computeMetadata/v1/token - status code: 403 Forbidden"
    assert "no credentials were found. Set GOOGLE_" in in_words(parse_address("gs://bucket/x"), asked)
    assert "AWS_PROFILE to a profile with keys of its own" in in_words(
        S3, "PUT http://169.254.169.254/latest/api/token"
    )


def test_keys_of_a_profile_that_are_renewed_while_a_run_works_are_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By who connected before, as the lease's keeper did; a profile that is gone for a moment changes nothing."""
    profile, signed = tmp_path / "home" / ".aws" / "credentials", []
    profile.parent.mkdir(parents=True)
    monkeypatch.setattr("pipeline.stores.credentials._BELIEVED", timedelta(0))

    def renew(number: int) -> None:
        keys = f"aws_access_key_id = k{number}\naws_secret_access_key = s\naws_session_token = t{number}\n"
        profile.write_text(f"[default]\n{keys}")

    def answering(asked: BaseHTTPRequestHandler, body: bytes) -> Answer:
        signed.append(
            (
                asked.headers["Authorization"].split("/")[0].partition("Credential=")[2],
                asked.headers["x-amz-security-token"],
            )
        )
        return error(404, "NoSuchKey")

    with scripted(answering) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        renew(1)
        objects = Objects(S3)
        assert objects.read("x") is None
        time.sleep(0.15)  # for a tenth of a second the client asks nobody again
        renew(2)
        assert objects.read("x") is None
        time.sleep(0.15)
        profile.unlink()
        assert objects.read("x") is None
    assert signed == [("k1", "t1"), ("k2", "t2"), ("k2", "t2")]


def test_copies_of_buckets_of_one_name_on_several_servers_are_several(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whether the environment says which server it is, a profile does, or Azure's account."""
    config = tmp_path / "home" / ".aws" / "config"
    config.parent.mkdir(parents=True)
    config.write_text(
        "[default]\nregion = eu-west-1\nendpoint_url = http://one\naws_access_key_id = k\n"
        "aws_secret_access_key = s\n"
    )
    seen = {folder_of("s3://bucket/run")}
    assert configuration(S3)["config"].keys() == {"region", "endpoint"}
    assert configuration(S3)["credential_provider"]()["access_key_id"] == "k"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")  # the keys of which are then not the profile's
    assert configuration(S3)["config"] == {"region": "eu-west-1", "endpoint": "http://one"}
    assert "credential_provider" not in configuration(S3)
    assert folder_of("s3://bucket/run") in seen
    for name, value in (("AWS_ENDPOINT_URL", "http://two"), ("AWS_ENDPOINT_URL_S3", "http://three")):
        monkeypatch.setenv(name, value)
        seen.add(folder_of("s3://bucket/run"))
    assert configuration(S3)["config"] == {"region": "eu-west-1"}
    for account in ("one", "two"):
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", account)
        seen.add(folder_of("az://bucket/run"))
    assert len(seen) == 5


def test_commits_keep_googles_conditions_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writes go by a number of the state, and it says of what is removed that it was gone."""
    with scripted(store := GoogleStore()) as endpoint:
        nobody = {"client_email": "", "private_key": "", "private_key_id": "", "disable_oauth": True}
        told = (("SERVICE_ACCOUNT_KEY", json.dumps(nobody)), ("BASE_URL", endpoint), ("ALLOW_HTTP", "true"))
        for name, value in told:
            monkeypatch.setenv(f"GOOGLE_{name}", value)
        out, unit, path = open_output("gs://bucket/run"), Unit("measure", "a", "as it is"), "measures/m/a.txt"
        with hold_output(out):
            with attempt(out, unit) as trying:
                trying.file(path).write_text("content")
                trying.add(path)
                record = trying.commit()
            assert find(out, unit) == record
            (out / path).unlink()
            check_sound(out, record.outputs)
            assert (out / path).read_text() == "content"
        kept = {
            f"run/{object_name(path, record.outputs[0].sha256)}",
            "run/commits/measure/a.json",
            "run/.lock",
        }
        assert store.objects.keys() == kept
        objects = Objects(parse_address("gs://bucket/run"))
        first = objects.write_new("x", b"one")
        assert first is not None
        assert objects.write_new("x", b"two") is None
        assert objects.replace("x", b"two", first) is not None
        assert objects.replace("x", b"three", first) is None
        objects.write("y", b"y")
        objects.remove(["gone", "x", "gone too", "y"])
        assert store.objects.keys() == kept
