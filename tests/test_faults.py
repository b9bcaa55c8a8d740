"""What nearfar must survive, and the tests that do it to nearfar.

The numbers are those of the list of faults that the project was planned by. Held here are faults of processes, files,
vectors, strangers' bytes, the web and stores; `pipeline/stores/test_from_urls_to_tars.py` has many of them at once.
"""

from __future__ import annotations

import re

import pytest
from source_tree import ROOT

_RUNS, _READERS, _STORES = "pipeline/runs/", "pipeline/readers/test_readers_", "pipeline/stores/test_"
_COMMIT, _FETCHING, _FILES = "pipeline/commit/test_", "pipeline/fetching/test_", "pipeline/files/test_"
_EMBEDDING, _EXECUTION = "pipeline/embedding/test_", "pipeline/execution/test_"
FAULTS: dict[int, tuple[str, tuple[str, ...]]] = {
    1: (
        "kill -9 at every named place, and at random",
        (
            f"{_COMMIT}commit_crashes.py::test_sigkill_at_every_point_then_a_rerun_gives_the_same_bytes",
            f"{_RUNS}test_resume.py::test_kill_and_rerun_give_the_same_bytes",
            f"{_RUNS}test_killed_at_random.py::test_a_stage_that_is_killed_at_any_moment_ends_in_the_same_bytes",
            f"{_RUNS}test_killed_at_random.py::test_a_purge_that_is_killed_at_any_moment_ends_in_the_same_bytes",
            f"{_RUNS}test_embedding_plans.py::test_killed_between_the_encoders_it_ends_in_the_same_bytes",
            f"{_RUNS}test_export.py::test_workers_and_a_killed_export_change_no_byte",
            f"{_RUNS}test_purge.py::test_a_purge_that_is_killed_anywhere_ends_in_the_same_bytes",
            f"{_FETCHING}ingest.py::test_killed_and_run_again_gives_the_same_bytes",
            f"{_STORES}from_urls_to_tars.py::test_every_url_is_accounted_for_on_a_disk_and_on_a_store",
        ),
    ),
    2: (
        "a kill between files and their record",
        (
            f"{_COMMIT}commit_crashes.py::test_a_crash_then_another_fingerprint_leaves_no_orphan",
            f"{_STORES}stored_runs.py::test_a_killed_run_of_sets_on_a_store_is_ended_by_another_machine",
        ),
    ),
    3: (
        "a second driver, while workers of the first go on",
        (
            f"{_RUNS}test_resume.py::test_a_second_run_at_once_is_told_so",
            f"{_COMMIT}commit.py::test_a_worker_that_outlived_its_run_does_not_commit",
            f"{_COMMIT}commit.py::test_many_workers_at_once_take_effect_once",
            f"{_STORES}stored_commits.py::test_a_run_that_lost_its_lease_commits_nothing",
            f"{_STORES}clusters_on_stores.py::test_workers_of_a_run_that_lost_its_lease_commit_nothing",
        ),
    ),
    4: (
        "truncated Parquet and arrays",
        (
            f"{_FILES}parquet.py::test_truncated_file_is_named",
            f"{_FILES}vectors.py::test_truncated_files_are_named",
            f"{_RUNS}test_bad_input.py::test_truncated_files",
        ),
    ),
    5: (
        "tars that end between members, or in a header",
        (
            f"{_READERS}img2dataset.py::test_every_cut_at_a_block_is_noticed",
            f"{_READERS}img2dataset.py::test_a_cut_that_was_mended_is_noticed_by_the_counts",
            f"{_FETCHING}ingest.py::test_a_damaged_output_is_noticed_and_made_again",
        ),
    ),
    6: (
        "bits that flip",
        (
            f"{_RUNS}test_rotten_bytes.py::test_nothing_is_decided_from_a_flipped_bit",
            f"{_RUNS}test_repair.py::test_a_flipped_bit_is_found_and_the_command_that_is_named_repairs_it",
            f"{_STORES}stored_commits.py::test_a_copy_that_rotted_is_mended_from_the_store",
            f"{_STORES}fetched_onto_stores.py::test_a_fetched_pool_is_read_by_its_records",
        ),
    ),
    9: (
        "a worker that the system kills for its memory",
        (
            f"{_EXECUTION}executors.py::test_a_task_that_kills_workers_fails_alone",
            f"{_EXECUTION}executors.py::test_a_worker_that_dies_once_is_replaced",
        ),
    ),
    10: (
        "a GPU without room",
        (
            f"{_EMBEDDING}embed.py::test_the_batch_is_halved_until_it_fits",
            f"{_EMBEDDING}batch_room.py::test_a_real_encoder_gives_the_same_bits_when_memory_runs_out",
            f"{_EMBEDDING}embed.py::test_an_image_that_does_not_fit_alone_is_quarantined_and_the_others_are_not",
            "indexes/test_torch_backend.py::test_out_of_memory_halves_the_block_and_changes_nothing",
        ),
    ),
    11: (
        "a GPU that is lost: its unit fails by name, or its worker is replaced; one that hangs ends its process",
        (
            "indexes/test_watchdog.py::test_a_device_that_answers_no_more_ends_its_process",
            f"{_EXECUTION}executors.py::test_other_exceptions_name_the_unit_and_log_the_traceback",
            f"{_EXECUTION}gpus.py::test_a_worker_that_takes_over_has_the_gpu_of_the_dead_one",
        ),
    ),
    12: (
        "a decoder that crashes",
        (
            f"{_EMBEDDING}decoders.py::test_a_decoder_that_dies_costs_its_image_alone",
            f"{_EMBEDDING}decoders.py::test_a_run_counts_what_its_decoder_died_of",
            f"{_FETCHING}children.py::test_a_bad_piece_harms_no_other",
        ),
    ),
    13: (
        "work that never ends",
        (
            f"{_FETCHING}download.py::test_each_misdeed_has_its_reason",
            f"{_EMBEDDING}decoders.py::test_an_image_that_takes_too_long_is_found_by_trying_each_alone",
        ),
    ),
    16: (
        "one link with two images, one image under two names",
        (
            f"{_READERS}img2dataset.py::test_a_url_names_a_sample_in_whatever_shard",
            "pipeline/sets/test_uids.py::test_derived_from_url_and_caption_else_from_the_key",
        ),
    ),
    17: ("NaN and infinity", ("indexes/test_canonical.py::test_reasons_and_order",)),
    18: (
        "vectors without a direction",
        (
            "indexes/test_canonical.py::test_reasons_and_order",
            f"{_EMBEDDING}embed.py::test_vectors_without_a_direction_are_quarantined_by_name",
            f"{_EMBEDDING}embed.py::test_black_and_white_images_are_images",
        ),
    ),
    19: ("vectors of any norm", ("indexes/test_canonical.py::test_huge_and_tiny_rows_are_normalised",)),
    20: (
        "vectors of several models, widths and types",
        (
            f"{_EMBEDDING}encoder.py::test_other_weights_transform_or_architecture_change_the_fingerprint",
            f"{_RUNS}test_embedding_plans.py::test_another_precision_is_another_encoder",
            f"{_RUNS}test_bad_input.py::test_a_shard_of_another_width",
            f"{_FILES}index_file.py::test_an_index_of_another_encoder_or_version_is_refused",
        ),
    ),
    21: (
        "fewer neighbours than were asked for",
        ("indexes/test_index_conformance.py::test_k_from_one_to_more_than_everything",),
    ),
    22: (
        "vectors and rows out of step",
        (
            f"{_READERS}paired.py::test_rows_out_of_step_and_widths_that_differ",
            f"{_RUNS}test_bad_input.py::test_rows_that_do_not_pair_up",
        ),
    ),
    23: (
        "nothing in a shard, a file, a pool",
        (
            f"{_RUNS}test_bad_input.py::test_a_zero_row_shard_changes_nothing",
            f"{_READERS}img2dataset.py::test_all_failed_and_none_tried",
            f"{_FILES}parquet.py::test_no_rows_give_a_valid_file",
        ),
    ),
    24: (
        "one row, one class, more asked for than there is",
        (
            f"{_RUNS}test_losses.py::test_one_usable_vector_is_a_pool",
            "curation/test_class_rules.py::test_class_balance_draws_so_many_of_each_and_more_lie_around_fewer",
        ),
    ),
    25: (
        "captions of every kind",
        (
            f"{_RUNS}test_bad_input.py::test_hostile_captions_come_through_unchanged",
            f"{_READERS}img2dataset.py::test_hostile_captions_come_through_the_members_too",
            f"{_EMBEDDING}texts.py::test_hostile_captions_are_embedded_quickly",
        ),
    ),
    26: (
        "decompression bombs",
        (
            f"{_FILES}images.py::test_a_bomb_is_refused_by_its_header",
            f"{_FETCHING}ingest.py::test_every_row_ends_in_one_way",
            f"{_READERS}img2dataset.py::test_a_member_of_impossible_size_does_not_hang",
        ),
    ),
    27: (
        "parsers' bombs: EXIF, SVG, animations",
        (
            f"{_FILES}images.py::test_other_formats_are_refused_whatever_pillow_could_do",
            f"{_FILES}images.py::test_of_an_animation_the_first_frame_is_taken",
            f"{_FILES}images.py::test_exif_orientation_is_not_applied",
        ),
    ),
    28: (
        "members of tars that lead elsewhere",
        (
            f"{_READERS}img2dataset.py::test_hostile_members_are_never_followed",
            f"{_READERS}img2dataset.py::test_keys_that_would_be_unsafe_as_paths_are_lost",
        ),
    ),
    29: (
        "links in the output's folders",
        (
            f"{_FILES}storage.py::test_linked_folders_are_refused",
            f"{_COMMIT}commit.py::test_outputs_that_are_links_or_in_the_way_of_a_folder_are_refused",
            f"{_COMMIT}commit.py::test_attempts_are_private",
            f"{_COMMIT}lock.py::test_linked_lock_is_refused",
        ),
    ),
    30: (
        "pickles",
        (
            f"{_FILES}vectors.py::test_pickles_are_refused_and_never_run",
            f"{_EMBEDDING}encoder.py::test_a_pickled_checkpoint_is_refused_and_not_run",
            "pipeline/webdataset/test_unpickled.py::test_an_exported_pool_can_be_decoded_without_running_its_code",
        ),
    ),
    31: ("links that are commands", (f"{_FETCHING}download.py::test_what_is_no_url_opens_no_connection",)),
    35: (
        "addresses that are not of the public internet, in any clothes",
        (
            f"{_FETCHING}addresses.py::test_what_is_not_of_the_public_internet_is_refused",
            f"{_FETCHING}download.py::test_private_addresses_in_any_spelling",
            f"{_FETCHING}download.py::test_a_name_that_changes_its_answer_gains_nothing",
            f"{_FETCHING}download.py::test_proxies_of_the_environment_are_not_used",
        ),
    ),
    36: (
        "redirects to these, and in circles",
        (f"{_FETCHING}download.py::test_each_misdeed_has_its_reason",),
    ),
    37: (
        "bodies that drip, never end, or lie about their length",
        (
            f"{_FETCHING}download.py::test_each_misdeed_has_its_reason",
            f"{_FETCHING}download.py::test_too_slow_for_the_rate",
        ),
    ),
    38: (
        "passwords in links",
        (
            f"{_FETCHING}ingest.py::test_passwords_are_written_nowhere",
            f"{_EXECUTION}progress.py::test_redaction",
            f"{_STORES}stores_bad_input.py::test_what_is_no_address_is_refused_without_its_credentials",
        ),
    ),
    42: (
        "other bytes than the list's sha256 says",
        (
            f"{_FETCHING}ingest.py::test_a_known_sha256_is_checked",
            f"{_FETCHING}verify_fetched.py::test_what_was_written_wrong_is_named",
        ),
    ),
    44: (
        "samples that must not be there, or no more",
        (
            f"{_FETCHING}ingest.py::test_what_is_denied_is_not_asked_for",
            f"{_RUNS}test_purge.py::test_nothing_says_a_purged_sample_any_more",
            f"{_STORES}purges_on_stores.py::test_nothing_says_a_purged_sample_any_more",
            f"{_STORES}purges_on_stores.py::test_hashes_that_two_add_at_once_are_all_kept",
        ),
    ),
    45: ("owners who opted out", (f"{_FETCHING}download.py::test_who_opts_out",)),
    52: (
        "a store that is busy, torn, forgetful or away",
        (
            f"{_STORES}objects.py::test_a_busy_store_is_asked_again",
            f"{_STORES}objects.py::test_a_write_whose_answer_is_lost_is_won_if_it_stands",
            f"{_STORES}objects.py::test_an_upload_that_breaks_between_its_pieces_arrives_whole_or_not_at_all",
            f"{_STORES}stored_commits.py::test_faults_of_the_store_change_nothing",
            f"{_STORES}stored_commits.py::test_a_listing_that_lacks_the_newest_loses_nothing",
            f"{_STORES}restarts.py::test_a_server_that_stays_away_is_said_and_one_that_is_started_again_is_waited_for",
        ),
    ),
    53: (
        "libraries that telephone home",
        (
            f"{_RUNS}test_purge.py::test_a_run_and_an_export_ask_nobody_for_anything",
            f"{_EMBEDDING}encoder.py::test_weights_that_are_not_here_are_not_fetched",
        ),
    ),
}


@pytest.mark.parametrize("number", FAULTS)
def test_each_fault_is_injected_by_tests_that_are_there(number: int) -> None:
    _, tests = FAULTS[number]
    assert tests
    for test in tests:
        file, _, name = test.partition("::")
        path = ROOT / "tests" / file
        assert path.is_file(), test
        assert re.search(rf"^def {name}\(", path.read_text(), re.MULTILINE), test
