"""What is wrong with a place on a store is said in words, and doing what they say helps."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest
import stored_runs
from store_proxy import proxied
from store_servers import StoreServer, use
from stored_runs import ADDRESS, write_plan
from whole_runs import Run

from indexes.errors import BadInputError, DataError, OutputError
from pipeline.execution.display.redaction import redact
from pipeline.stores import brought_sets
from pipeline.stores import objects as objects_module
from pipeline.stores.brought_sets import brought, set_place
from pipeline.stores.objects import Objects
from pipeline.stores.set_states import SetFile
from pipeline.stores.store_addresses import Address, parse_address
from pipeline.stores.store_errors import in_words, store_errors
from pipeline.stores.working_copies import MARKER, folder_of, make_copy, store_of


def test_addresses_are_read_as_they_are_written() -> None:
    assert parse_address("s3://bucket/a//b/") == Address("s3", "bucket", "a/b")
    assert str(parse_address("GS://bucket/a")) == "gs://bucket/a"
    assert str(parse_address("az://bucket")) == "az://bucket"


@pytest.mark.parametrize(
    ("text", "said", "better"),
    [
        ("ftp://host/pool", "name a place as one of s3://BUCKET/FOLDER", "s3://host/pool"),
        ("ftp://AKIA:secret@host/pool", "name a place as one of s3://BUCKET/FOLDER", "s3://host/pool"),
        ("s3://AKIA:secret@bucket/pool", "Give those in the environment", "s3://bucket/pool"),
        ("s3://bucket/pool?X-Amz-Signature=secret", "Give those in the environment", "s3://bucket/pool"),
        ("s3:bucket/pool", "has two slashes behind 's3:'; write s3://BUCKET/FOLDER", "s3://bucket/pool"),
        ("S3:/bucket/pool", "write s3://BUCKET/FOLDER, or ./S3:… for a folder", "s3://bucket/pool"),
        ("s3:///pool", "names no bucket and folder; write s3://BUCKET/FOLDER", "s3://bucket/pool"),
        ("s3://bucket/../pool", "with plain names between the slashes", "s3://bucket/pool"),
        ("s3://bucket/po\0ol", "with plain names between the slashes", "s3://bucket/pool"),
        ("s3://bucket/po\\ol", "with plain names between the slashes", "s3://bucket/pool"),
        ("s3://bucket/po\tol", "with plain names between the slashes", "s3://bucket/po ol"),
        ("s3://bucket/pool ", "with plain names between the slashes", "s3://bucket/pool"),
        ("s3://bucket/po%2Fol", "with plain names between the slashes", "s3://bucket/pool"),
        ("s3://buc_ket!/pool", "with plain names between the slashes", "s3://bucket/pool"),
    ],
)
def test_what_is_no_address_is_refused_without_its_credentials(text: str, said: str, better: str) -> None:
    with pytest.raises(BadInputError) as refused:
        parse_address(text)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "AKIA" not in redact(text)
    parse_address(better)


def test_a_whole_bucket_is_no_output() -> None:
    with pytest.raises(BadInputError, match="a whole bucket; name a folder of its own in it"):
        folder_of("s3://bucket")
    folder_of("s3://bucket/own")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("status code: 599 of https://h/x?X-Amz-Signature=secret", "asked (599)"),
        ("error sending request for url (https://h/x?X-Amz-Signature=secret)", "asked (no answer)"),
    ],
)
def test_what_a_store_refuses_is_said_in_words(said: str, words: str) -> None:
    address = parse_address(ADDRESS)
    assert words in in_words(address, said)
    assert "secret" not in in_words(address, said)


def test_an_object_that_is_missing_is_an_answer_and_a_bucket_that_is_missing_none() -> None:
    address = parse_address("s3://bucket/run")
    with pytest.raises(FileNotFoundError), store_errors(address, "read"):
        raise FileNotFoundError("Object at location run/x not found")
    said = "cannot list 's3://bucket/run': there is no such bucket"
    with pytest.raises(OutputError, match=said), store_errors(address, "list"):
        raise FileNotFoundError("404 <Code>NoSuchBucket</Code>")


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil"])
def test_names_of_objects_lead_out_of_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    objects: Any = None
    monkeypatch.setattr(brought_sets, "connected", lambda folder: objects)
    with pytest.raises(OutputError, match="is no path inside the output folder"):
        brought_sets.bring(objects, tmp_path / "set", [SetFile(name, name, "mark 3")], parse_address(ADDRESS))
    with pytest.raises(OutputError, match="is no path inside the output folder"):
        brought_sets.bring_files(tmp_path / "set", ADDRESS, {name: "mark 3"})
    assert list(tmp_path.rglob("evil")) == []


def test_a_bucket_that_is_not_there(
    direct: StoreServer, cli: Run, sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = write_plan(sets / "here", sets, "s3://no-such-bucket/run")
    code, _, wrong = cli("run", str(plan))
    assert code == 2
    assert "nearfar: cannot " in wrong
    assert (
        "there is no such bucket" in wrong or "do not allow this" in wrong
    )  # SeaweedFS says it to its administrators


def test_what_will_not_change_is_not_waited_for(direct: StoreServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects_module, "_wait", lambda tried: pytest.fail("it is tried again"))
    objects = Objects(parse_address("s3://no-such-bucket/run"))
    with pytest.raises(OutputError, match=r"there is no such bucket|do not allow this"):
        objects.write_new("record", b"mine")
    objects = Objects(parse_address(ADDRESS))

    def broken(*given: object, **more: object) -> None:
        raise ValueError("a mistake of our own")

    monkeypatch.setattr(objects._library, "put", broken)
    with pytest.raises(ValueError, match="a mistake of our own"):
        objects.write_new("record", b"mine")

    def refused(*given: object, **more: object) -> None:
        raise objects._library.exceptions.PermissionDeniedError("403 <Code>AccessDenied</Code>")

    monkeypatch.setattr(objects._library, "put", refused)
    with pytest.raises(OutputError, match="Give them the right to list, read, write and delete there"):
        objects.write_new("record", b"mine")


def test_wrong_keys_are_named_and_not_shown(
    direct: StoreServer, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "moto" in direct.command[2]:
        pytest.skip("moto looks at no signature")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    code, _, wrong = cli("status", ADDRESS)
    assert (code, "the store does not know these credentials" in wrong) == (2, True)
    assert "not-the-secret" not in wrong
    use(direct, monkeypatch)
    code, _, wrong = cli("status", "s3://bucket/nothing-here")
    assert (code, "holds no run" in wrong) == (2, True)


def test_a_bucket_that_is_not_writable(
    direct: StoreServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if "moto" in direct.command[2]:
        pytest.skip("moto looks at no rights")
    objects = Objects(parse_address("s3://another/run"))
    with pytest.raises(OutputError, match="Give them the right to list, read, write and delete there"):
        objects.write("x", b"x")
    Objects(parse_address(ADDRESS)).write("x", b"x")


def test_a_server_that_is_down_and_one_behind_plain_http(
    direct: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects_module, "_RETRIES", {"max_retries": 1})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(OutputError, match=r"Look whether the endpoint \(AWS_ENDPOINT_URL\) is right and up"):
        Objects(parse_address(ADDRESS)).listing()
    use(direct, monkeypatch)
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(OutputError, match="Set AWS_ALLOW_HTTP=true if that is meant"):
        Objects(parse_address(ADDRESS)).listing()
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    Objects(parse_address(ADDRESS)).listing()


def test_credentials_may_stand_in_a_profile(
    direct: StoreServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = direct.variables
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name)
    keys = f"aws_access_key_id = {words['AWS_ACCESS_KEY_ID']}\naws_secret_access_key = {words['AWS_SECRET_ACCESS_KEY']}"
    (tmp_path / "credentials").write_text(f"[work]\n{keys}\n")
    (tmp_path / "config").write_text("[profile work]\nregion = us-east-1\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    Objects(parse_address(f"{ADDRESS}-profile")).write("x", b"x")


def test_a_copy_whose_marker_is_damaged_is_removed_as_told(direct: StoreServer) -> None:
    copy = make_copy(ADDRESS)
    (copy / MARKER).write_bytes(b"{")
    with pytest.raises(OutputError, match="remove the folder, and run again"):
        store_of(copy)
    stored_runs.forget_copy()
    assert store_of(make_copy(ADDRESS)) is not None


def test_a_set_is_brought_once_and_again_where_it_changed(
    direct: StoreServer, capsys: pytest.CaptureFixture[str]
) -> None:
    objects = Objects(parse_address("s3://bucket/brought/one"))
    long = f"{'字' * 80}.txt"  # bytes, not letters, are what a file's name may have 255 of
    objects.write(long, b"")
    for name in ("a.txt", "b/c.txt", "d.txt"):
        objects.write(name, name.encode())
    root = Path(brought("s3://bucket/brought/one"))
    assert {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*.txt")} == {
        name: name for name in ("a.txt", "b/c.txt", "d.txt")
    } | {long: ""}
    assert "bringing 4 objects (17 bytes) of s3://bucket/brought/one" in capsys.readouterr().err
    before = (root / "a.txt").stat()
    objects.write("b/c.txt", b"other")
    objects.remove(["d.txt"])
    assert brought("s3://bucket/brought/one/") == str(root)
    assert "bringing 1 objects (5 bytes)" in capsys.readouterr().err
    assert (root / "b" / "c.txt").read_text() == "other"
    assert not (root / "d.txt").exists()
    assert (root / "a.txt").stat() == before
    assert set_place(str(root)) == "s3://bucket/brought/one"
    single = brought("s3://bucket/brought/one/a.txt")
    assert (Path(single).read_text(), set_place(single)) == ("a.txt", "s3://bucket/brought/one/a.txt")
    assert set_place("/data/pool") == "/data/pool"
    with pytest.raises(DataError, match="correct the address, or put the set there"):
        brought("s3://bucket/brought/two")
    Objects(parse_address("s3://bucket/brought/two")).write("x", b"x")
    brought("s3://bucket/brought/two")


def test_empty_objects_that_mark_folders_are_no_files(direct: StoreServer) -> None:
    if "moto" not in direct.command[2]:
        pytest.skip("SeaweedFS keeps folders of its own")
    objects = Objects(parse_address("s3://bucket/brought/marked"))
    objects.write("a/b.txt", b"b")
    objects.write("a", b"")
    root = Path(brought("s3://bucket/brought/marked"))
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["b.txt"]
    objects.write("a", b"both")
    with pytest.raises(DataError, match="as an object and as a folder of others"):
        brought("s3://bucket/brought/marked")


def test_there_must_be_room_for_a_set(
    direct: StoreServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Objects(parse_address("s3://bucket/brought/large")).write("x", b"x" * 1000)
    monkeypatch.setattr(
        "pipeline.stores.brought_sets.free_bytes", lambda path: 999 if "copies" in path.parts else 1000
    )
    with pytest.raises(OutputError, match="set NEARFAR_COPIES to a folder with more room"):
        brought("s3://bucket/brought/large")
    monkeypatch.setenv("NEARFAR_COPIES", str(tmp_path / "more room"))
    brought("s3://bucket/brought/large")


def test_a_disk_that_is_full_while_a_set_is_brought_is_said(direct: StoreServer) -> None:
    Objects(parse_address("s3://bucket/brought/full")).write("x", b"x" * 5000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OutputError, match=r"free some space .* and run again to resume"):
            brought("s3://bucket/brought/full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (Path(brought("s3://bucket/brought/full")) / "x").stat().st_size == 5000


def test_a_body_that_never_arrives_whole_is_said(
    direct: StoreServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(objects_module, "_wait", lambda tried: None)
    monkeypatch.setattr(Objects, "size", lambda self, name: 3)
    objects = Objects(parse_address(f"{ADDRESS}-torn"))
    with pytest.raises(OutputError, match="Look at the network and the store, and run again to resume"):
        objects.write("x", b"four")
    with pytest.raises(OutputError, match="Look at the network, and run again to resume"):
        objects.download("x", tmp_path / "x")
    monkeypatch.undo()
    assert list(tmp_path.glob("x*")) == []


def test_a_proxy_of_these_tests_breaks_nothing_by_itself(
    direct: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxied(direct.port) as faults:
        use(direct, monkeypatch, faults.port)
        objects = Objects(parse_address(f"{ADDRESS}-plain"))
        objects.write("x", b"x")
        assert [method for method, _ in faults.asked] == ["PUT", "HEAD"]
