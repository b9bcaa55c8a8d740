"""What nearfar must survive, and the tests that do it to nearfar.

The numbers are those of the list of faults that the project was planned by. Held here are faults of processes, files,
vectors, strangers' bytes, the web and stores; `pipeline/stores/test_from_urls_to_tars.py` has many of them at once.
Each line names a guard, and a test that fails without it.
"""

from __future__ import annotations

import re

import pytest
from source_tree import ROOT

_RUNS, _STORES, _READ = "pipeline/runs/test_", "pipeline/stores/test_", "pipeline/readers/test_"
_COMMIT, _FETCHING, _FILES = "pipeline/commit/test_", "pipeline/fetching/test_", "pipeline/files/test_"
_EMBEDDING, _EXECUTION = "pipeline/embedding/test_", "pipeline/execution/test_"
_TARS, _INGEST = f"{_READ}readers_img2dataset.py::test_", f"{_FETCHING}ingest.py::test_"
_HOSTILE_TARS, _CREW = f"{_READ}hostile_tars.py::test_", f"{_FETCHING}crew.py::test_"
_WEB, _CHILDREN = f"{_FETCHING}download.py::test_", f"{_FETCHING}children.py::test_"
_ADDRESSES = f"{_FETCHING}addresses.py::test_"
_COMMITS, _STORAGE = f"{_COMMIT}commit.py::test_", f"{_FILES}storage.py::test_"
_VECTORS, _IMAGES = f"{_FILES}vectors.py::test_", f"{_FILES}images.py::test_"
_PARQUET = f"{_FILES}parquet.py::test_"
_BOUNDED = f"{_FILES}bounded_batches.py::test_"
_WORKERS, _OBJECTS = f"{_EXECUTION}executors.py::test_", f"{_STORES}objects.py::test_"
_LEASE = f"{_STORES}lease.py::test_"
_SAID = f"{_STORES}what_stores_say.py::test_"
_BAD_STORES, _STORED = f"{_STORES}stores_bad_input.py::test_", f"{_STORES}stored_commits.py::test_"
_EMBED, _BAD = f"{_EMBEDDING}embed.py::test_", f"{_RUNS}bad_input.py::test_"
_CANONICAL, _DECODERS = "indexes/test_canonical.py::test_", f"{_EMBEDDING}decoders.py::test_"
FAULTS: dict[int, tuple[str, dict[str, str]]] = {
    1: (
        "kill -9 at every named place, and at random",
        {
            "journals name what a unit may leave": (
                f"{_COMMITS}a_new_fingerprint_replaces_files_and_removes_what_it_no_longer_names"
            ),
            "records are created exclusively": f"{_COMMITS}without_locks_the_exclusive_record_decides",
            "attempts and temporary files are swept": f"{_COMMITS}sweep_removes_what_killed_runs_left",
            "a path that another unit took over is left alone": (
                f"{_COMMITS}a_file_that_another_unit_took_over_is_left_alone"
            ),
            "every point of a commit": (
                f"{_COMMIT}commit_crashes.py::test_sigkill_at_every_point_then_a_rerun_gives_the_same_bytes"
            ),
            "every stage of a run": (
                f"{_RUNS}killed_at_random.py::test_a_stage_that_is_killed_at_any_moment_ends_in_the_"
                "same_bytes"
            ),
            "a run as a whole": f"{_RUNS}resume.py::test_kill_and_rerun_give_the_same_bytes",
            "encoders of one pass": (
                f"{_RUNS}embedding_plans.py::test_killed_between_the_encoders_it_ends_in_the_same_bytes"
            ),
            "an export": f"{_RUNS}export.py::test_workers_and_a_killed_export_change_no_byte",
            "a purge": f"{_RUNS}purge.py::test_a_purge_that_is_killed_anywhere_ends_in_the_same_bytes",
            "a purge at random": (
                f"{_RUNS}killed_at_random.py::test_a_purge_that_is_killed_at_any_moment_ends_in_the_"
                "same_bytes"
            ),
            "a fetch": f"{_INGEST}killed_and_run_again_gives_the_same_bytes",
            "from URLs to tars, on a disk and a store": (
                f"{_STORES}from_urls_to_tars.py::test_every_url_is_accounted_for_on_a_disk_and_on_a_store"
            ),
        },
    ),
    2: (
        "a kill, or a loss of power, between files and their record",
        {
            "a stale record goes first, its files last": (
                f"{_COMMIT}commit_crashes.py::test_a_crash_then_another_fingerprint_leaves_no_orphan"
            ),
            "each step is on the disk before the next": (
                f"{_COMMIT}power_loss.py::test_each_step_of_a_commit_is_on_the_disk_before_the_next"
            ),
            "a retired record is gone from the disk": (
                f"{_COMMIT}power_loss.py::test_a_stale_record_is_gone_from_the_disk_before_its_files_change"
            ),
            "a unit with a record is not published again": (
                f"{_COMMITS}a_second_worker_takes_the_standing_record"
            ),
            "records count by fingerprint and size": (
                f"{_COMMITS}another_fingerprint_or_a_damaged_size_is_not_done"
            ),
            "records of a store count while their objects are there": (
                f"{_STORED}a_record_whose_object_is_gone_counts_for_nothing"
            ),
            "another machine ends the run": (
                f"{_STORES}stored_runs.py::test_a_killed_run_of_sets_on_a_store_is_ended_by_another_machine"
            ),
        },
    ),
    3: (
        "a second driver, while workers of the first go on",
        {
            "the folder's lock": f"{_RUNS}resume.py::test_a_second_run_at_once_is_told_so",
            "the fence before a commit": f"{_COMMITS}a_worker_that_outlived_its_run_does_not_commit",
            "the lock of a stage's records": f"{_COMMITS}many_workers_at_once_take_effect_once",
            "a new token for each run": (
                f"{_COMMIT}lock.py::test_a_killed_run_leaves_the_folder_free_and_another_token"
            ),
            "a file system without locks": f"{_COMMIT}lock.py::test_file_system_without_locks",
            "a store's lease": f"{_LEASE}a_second_run_is_refused_and_told_who_holds_it",
            "a lease is taken by who saw its last state": (
                f"{_LEASE}of_many_that_begin_together_one_holds_it"
            ),
            "a lease that stands still": f"{_LEASE}one_that_stands_still_is_taken_over",
            "a lease that was lost": f"{_LEASE}who_lost_it_does_not_take_it_back",
            "the fence on a store": f"{_STORED}a_run_that_lost_its_lease_commits_nothing",
            "a run that wakes when another has its output": (
                f"{_STORED}a_run_that_wakes_after_another_took_over_writes_over_nothing"
            ),
            "a file under its own name": (
                f"{_STORED}a_file_under_its_own_name_is_not_written_over_by_one_that_wakes"
            ),
            "a working copy that two machines have": f"{_LEASE}one_of_the_same_copy_is_taken_at_once",
            "workers on other machines": (
                f"{_STORES}clusters_on_stores.py::test_workers_of_a_run_that_lost_its_lease_commit_nothing"
            ),
        },
    ),
    4: (
        "truncated Parquet and arrays",
        {
            "Parquet": f"{_PARQUET}truncated_file_is_named",
            "arrays: their size against their header": f"{_VECTORS}truncated_files_are_named",
            "arrays: bytes after their end": f"{_VECTORS}trailing_bytes_are_an_error",
            "arrays that shrink while they are read": f"{_VECTORS}a_file_that_changes_is_noticed",
            "outputs: rows and sizes as they were declared": (
                f"{_COMMITS}forgotten_unwritten_and_wrong_outputs_are_refused"
            ),
            "nothing is written in place": f"{_PARQUET}never_in_place",
            "a run says which file": f"{_BAD}truncated_files",
        },
    ),
    5: (
        "tars that end between members, or in a header",
        {
            "two blocks of zeros, and nothing behind": f"{_TARS}every_cut_at_a_block_is_noticed",
            "tars that were joined": f"{_TARS}damage_inside_a_tar",
            "successes of the sidecar that the tar lacks": (
                f"{_TARS}a_cut_that_was_mended_is_noticed_by_the_counts"
            ),
            "samples that the sidecar lacks": f"{_TARS}a_sidecar_of_another_tar_is_refused",
            "the producer's counts": f"{_TARS}counts_that_disagree",
            "a tar or a sidecar alone": f"{_TARS}missing_partners_are_named",
            "a tar that shrinks while it is read": (
                f"{_HOSTILE_TARS}a_tar_that_became_shorter_is_said_to_have"
            ),
            "header sums": f"{_READ}plain_headers.py::test_a_changed_byte_never_makes_another_member",
            "a fetched tar that was cut, emptied counts": (
                f"{_INGEST}a_damaged_output_is_noticed_and_made_again"
            ),
            "a fetched tar that is taken over": (
                f"{_INGEST}images_are_taken_over_only_if_they_are_what_is_asked_for"
            ),
            "a run says which tar": f"{_BAD}a_truncated_tar",
            "a fetched tar that is gone, the first and the last too": (
                f"{_FETCHING}ingest_advice.py::test_a_fetched_shard_that_is_lost_is_said_and_fetched_again_as_the_"
                "message_says"
            ),
            "and from a store": (
                f"{_STORES}fetched_onto_stores.py::test_a_shard_that_the_store_lost_is_said_by_name"
            ),
            "files whose names say how many they are": (
                f"{_READ}readers_paired.py::test_files_that_say_how_many_they_are_name_those_that_are_gone"
            ),
        },
    ),
    6: (
        "bits that flip",
        {
            "a digest before anything is decided": (
                f"{_RUNS}rotten_bytes.py::test_nothing_is_decided_from_a_flipped_bit"
            ),
            "records have a digest of themselves": (
                f"{_RUNS}rotten_bytes.py::test_no_single_flip_of_a_record_goes_unnoticed"
            ),
            "a digest is forgotten": f"{_COMMIT}sound.py::test_what_changes_no_stamp_is_seen_after_a_while",
            "a digest of a file that stood still": (
                f"{_COMMIT}sound.py::test_a_file_that_was_just_written_is_hashed_again"
            ),
            "a digest of the same file": f"{_COMMIT}sound.py::test_whatever_is_written_is_seen",
            "checksums of pages that nearfar writes": f"{_PARQUET}flipped_bytes_are_noticed",
            "checksums of pages that strangers wrote": f"{_BOUNDED}a_flipped_bit_in_a_page_is_noticed",
            "members of .npz": f"{_VECTORS}a_flipped_byte_in_an_npz_is_noticed",
            "a repair makes it again": (
                f"{_RUNS}repair.py::test_a_flipped_bit_is_found_and_the_command_that_is_named_repairs_it"
            ),
            "a copy of what is on a store": f"{_STORED}a_copy_that_rotted_is_mended_from_the_store",
            "a torn record on a store": f"{_STORED}a_torn_record_counts_for_nothing_and_is_replaced",
            "a fetched pool": f"{_STORES}fetched_onto_stores.py::test_a_fetched_pool_is_read_by_its_records",
        },
    ),
    9: (
        "a worker that the system kills for its memory",
        {
            "its task is tried again, alone": f"{_WORKERS}a_worker_that_dies_once_is_replaced",
            "a task that kills each worker fails by its name": (
                f"{_WORKERS}a_task_that_kills_workers_fails_alone"
            ),
            "half an answer is none": f"{_WORKERS}half_an_answer_is_none",
            "what a run no longer waits for": (
                f"{_WORKERS}what_a_run_no_longer_waits_for_is_not_taken_for_the_next_answer"
            ),
            "workers end with their driver": f"{_WORKERS}workers_end_with_their_driver",
            "an interrupt, and words of libraries": (
                f"{_WORKERS}an_interrupt_and_words_of_libraries_disturb_no_answer"
            ),
        },
    ),
    10: (
        "a GPU without room",
        {
            "a batch is halved": f"{_EMBED}the_batch_is_halved_until_it_fits",
            "and grows again": (
                f"{_EMBEDDING}batch_room.py::test_it_halves_stays_small_for_a_while_and_grows_again"
            ),
            "with the same bits": (
                f"{_EMBEDDING}batch_room.py::test_a_real_encoder_gives_the_same_bits_when_memory_runs_out"
            ),
            "where none fits no image is lost": (
                f"{_EMBED}where_not_even_one_image_fits_the_unit_fails_and_no_image_is_lost"
            ),
            "nor a caption": (
                f"{_EMBEDDING}texts.py::test_where_not_even_one_caption_fits_the_unit_fails_and_none_is_lost"
            ),
            "other words for it": (
                f"{_EMBEDDING}batch_room.py::"
                "test_what_drivers_and_libraries_say_of_memory_counts_and_other_errors_do_not"
            ),
            "captions": (
                f"{_EMBEDDING}texts.py::test_the_batch_is_halved_until_it_fits_and_padded_to_one_size"
            ),
            "the search": (
                "indexes/test_torch_backend.py::test_out_of_memory_halves_the_block_and_changes_nothing"
            ),
        },
    ),
    11: (
        "a GPU that is lost, or hangs",
        {
            "an error names its unit": f"{_WORKERS}other_exceptions_name_the_unit_and_log_the_traceback",
            "a worker that takes over has the GPU": (
                f"{_EXECUTION}gpus.py::test_a_worker_that_takes_over_has_the_gpu_of_the_dead_one"
            ),
            "its unit is tried on another": (
                f"{_EXECUTION}gpus.py::test_what_a_lost_gpu_failed_at_is_tried_on_another"
            ),
            "one that is lost ends its process": (
                "indexes/test_watchdog.py::test_a_process_that_is_replaced_ends_with_its_device_and_no_other_does"
            ),
            "one that answers no more ends its process": (
                "indexes/test_watchdog.py::test_a_device_that_answers_no_more_ends_its_process"
            ),
            "encoders are watched": f"{_EMBED}what_a_device_is_asked_for_is_watched",
            "searches are watched": "indexes/test_torch_backend.py::test_each_block_is_watched",
        },
    ),
    12: (
        "a decoder that crashes",
        {
            "it costs its image alone": f"{_DECODERS}a_decoder_that_dies_costs_its_image_alone",
            "a run counts what it died of": f"{_DECODERS}a_run_counts_what_its_decoder_died_of",
            "its process is replaced": f"{_CHILDREN}a_bad_piece_harms_no_other",
            "one that died meanwhile": f"{_CHILDREN}one_that_died_meanwhile_costs_nothing",
            "an interrupt, and words of libraries": (
                f"{_CHILDREN}an_interrupt_and_words_of_libraries_disturb_no_answer"
            ),
            "a fetched image": f"{_CREW}a_decoder_that_dies_costs_its_row_alone",
        },
    ),
    13: (
        "work that never ends",
        {
            "a link's deadline, rate and pauses": f"{_WEB}each_misdeed_has_its_reason",
            "a name server's": f"{_WEB}a_name_server_that_does_not_answer_is_given_up",
            "a piece of decoding": f"{_CHILDREN}a_bad_piece_harms_no_other",
            "an image among others": (
                f"{_DECODERS}an_image_that_takes_too_long_is_found_by_trying_each_alone"
            ),
            "what may pass is tried so many times": (
                f"{_CREW}what_may_pass_is_asked_for_again_and_nothing_else"
            ),
            "links that take long to read": f"{_WEB}no_link_takes_long_to_read",
            "texts that take long to redact": f"{_EXECUTION}progress.py::test_no_text_takes_long_to_redact",
        },
    ),
    16: (
        "one link with two images, one image under two names",
        {
            "a link and its caption name a sample": f"{_TARS}a_url_names_a_sample_in_whatever_shard",
            "else its key does": (
                "pipeline/sets/test_uids.py::test_derived_from_url_and_caption_else_from_the_key"
            ),
            "keys that start again in each shard": (
                f"{_TARS}keys_that_start_again_in_every_shard_are_other_samples"
            ),
        },
    ),
    17: (
        "NaN and infinity",
        {
            "they are named before they are compared": f"{_CANONICAL}reasons_and_order",
            "of an encoder too": f"{_EMBED}vectors_without_a_direction_are_quarantined_by_name",
        },
    ),
    18: (
        "vectors without a direction",
        {
            "they are named before they are compared": f"{_CANONICAL}reasons_and_order",
            "of an encoder too": f"{_EMBED}vectors_without_a_direction_are_quarantined_by_name",
            "a black image has one": f"{_EMBED}black_and_white_images_are_images",
        },
    ),
    19: (
        "vectors of any norm",
        {
            "they are normalised": f"{_CANONICAL}huge_and_tiny_rows_are_normalised",
            "an encoder's always": f"{_EMBED}a_vector_near_unit_norm_is_normalised_like_any_other",
        },
    ),
    20: (
        "vectors of several models, widths and types",
        {
            "weights, transform and architecture": (
                f"{_EMBEDDING}encoder.py::test_other_weights_transform_or_architecture_change_the_fingerprint"
            ),
            "precision": f"{_RUNS}embedding_plans.py::test_another_precision_is_another_encoder",
            "widths of a set": f"{_BAD}a_shard_of_another_width",
            "types and shapes": f"{_VECTORS}other_arrays_are_refused",
            "a saved index": (
                f"{_FILES}index_file.py::test_an_index_of_another_encoder_or_version_is_refused"
            ),
        },
    ),
    21: (
        "fewer neighbours than were asked for",
        {
            "none is made up": "indexes/test_index_conformance.py::test_k_from_one_to_more_than_everything",
            "a row that is not there": f"{_VECTORS}rows_that_are_not_there",
        },
    ),
    22: (
        "vectors and rows out of step",
        {
            "as many of both": f"{_READ}readers_paired.py::test_rows_out_of_step_and_widths_that_differ",
            "one of a pair alone": f"{_READ}readers_paired.py::test_a_missing_partner_is_named",
            "rows that come during the run": (
                f"{_READ}readers_paired.py::test_metadata_that_grows_during_the_run"
            ),
            "a run says so": f"{_BAD}rows_that_do_not_pair_up",
        },
    ),
    23: (
        "nothing in a shard, a file, a pool",
        {
            "a shard": f"{_BAD}a_zero_row_shard_changes_nothing",
            "a tar": f"{_TARS}all_failed_and_none_tried",
            "a file": f"{_PARQUET}no_rows_give_a_valid_file",
            "a pool": f"{_RUNS}losses.py::test_a_pool_without_a_row_stops_the_run",
            "a list": f"{_INGEST}an_empty_list_stops",
            "a list of which nothing came": f"{_INGEST}a_list_that_gives_no_image_at_all_has_failed",
            "a file of no rows has its columns": (
                f"{_READ}readers_conformance.py::test_an_empty_shard_has_the_schema_of_a_full_one"
            ),
            "a part, searched": "pipeline/stages/test_passes.py::test_an_empty_part_gives_no_block",
            "a part, on an atlas": (
                "pipeline/atlases/test_atlas.py::test_columns_of_a_part_without_rows_are_of_their_type"
            ),
            "a split": "pipeline/splits/test_emit.py::test_no_rows_are_one_empty_file",
            "a split, which terminal and report say": (
                f"{_RUNS}class_bad_input.py::test_more_than_is_left_is_counted_or_an_error"
            ),
            "a split, exported": f"{_RUNS}export.py::test_an_empty_split_has_no_tars",
            "a split, on an atlas": "pipeline/atlases/test_atlas.py::test_advice_of_an_atlas_leads_out",
            "a pool without clusters": (
                "curation/test_measures_conformance.py::test_density_of_a_pool_without_clusters_is_unknown"
            ),
            "nothing to be contrasted with": (
                "curation/test_target_measures.py::test_a_pair_that_is_contrasted_with_none_but_itself_loses_nothing"
            ),
            "nothing to join": "curation/test_copies.py::test_of_nothing_and_of_one_row_nothing_joins",
            "classes of which none was counted": "curation/test_class_counts.py::test_by_hand",
            "similarities of an empty set": "curation/test_audit.py::test_gap_of_an_empty_set_has_no_numbers",
            "a split's card": (
                "pipeline/dataset_cards/test_dataset_card.py::test_an_empty_split_has_a_card_without_commands"
            ),
        },
    ),
    24: (
        "one row, one class, more asked for than there is",
        {
            "one row": f"{_RUNS}losses.py::test_one_usable_vector_is_a_pool",
            "more than there is": (
                "curation/test_class_rules.py::test_class_balance_draws_so_many_of_each_and_more_lie_"
                "around_fewer"
            ),
            "which the terminal and the report say, or a strict rule stops at": (
                f"{_RUNS}class_bad_input.py::test_more_than_is_left_is_counted_or_an_error"
            ),
            "more centroids than rows": "indexes/test_kmeans.py::test_bad_input",
            "fewer rare classes than are to be cut, under a strict rule": (
                "curation/test_subset_rules.py::test_trim_tail_under_fills_and_says_so_unless_strict"
            ),
            "fewer samples of classes, under a strict rule": (
                "curation/test_subset_rules.py::test_class_subset_under_fills_and_says_so_unless_strict"
            ),
            "classes that are not there": "curation/test_class_rules.py::test_class_balance_to_a_histogram",
            "in one line for each split": (
                "pipeline/report/test_report_headline.py::test_a_split_with_too_little_is_said_in_one_line"
            ),
        },
    ),
    25: (
        "captions of every kind",
        {
            "through a run": f"{_BAD}hostile_captions_come_through_unchanged",
            "keys with new lines, in lists of them": (
                "pipeline/splits/test_split_hostile.py::test_captions_come_out_byte_for_byte"
            ),
            "names in NFC and NFD, side by side": (
                f"{_READ}readers_image_folder.py::test_names_that_only_look_alike_have_their_own_captions"
            ),
            "names of shards in other encodings": (
                f"{_RUNS}names.py::test_a_shard_whose_name_is_no_utf8_is_renamed_as_the_message_says"
            ),
            "paths in other encodings": (
                f"{_RUNS}names.py::test_paths_that_are_no_utf8_are_renamed_as_the_messages_say"
            ),
            "names of images, in CSV and lists of keys": (
                f"{_RUNS}export_csv.py::test_a_file_whose_name_is_no_utf8_stays_away_and_is_counted"
            ),
            "on a terminal": f"{_BAD}a_terminal_shows_what_it_would_have_obeyed",
            "of tars' members": f"{_TARS}hostile_captions_come_through_the_members_too",
            "keys of other encodings": f"{_HOSTILE_TARS}keys_of_other_encodings_are_texts",
            "keys of other encodings in plain headers": (
                f"{_READ}plain_headers.py::test_names_of_other_encodings_are_plain_too"
            ),
            "keys that are too long, or hold what controls a terminal": (
                f"{_TARS}keys_that_would_be_unsafe_as_paths_are_lost"
            ),
            "halves of characters, in texts": (
                "pipeline/sets/test_columns.py::test_lone_surrogates_become_the_replacement_character"
            ),
            "halves of characters, in a sample's json": (
                "pipeline/webdataset/test_json_uid.py::test_the_uid_is_put_in_and_every_other_byte_stays"
            ),
            "halves of characters, in plans": (
                "pipeline/plan/test_plan_yaml.py::test_refused_with_line_and_column"
            ),
            "quotes, tabs and new lines, in CSV": (
                "pipeline/webdataset/test_csv_lines.py::test_every_path_and_caption_arrives"
            ),
            "redirects in other encodings": (
                f"{_WEB}a_redirect_in_another_encoding_leads_to_what_cannot_be_read"
            ),
            "quickly": f"{_EMBEDDING}texts.py::test_hostile_captions_are_embedded_quickly",
            "lists of URLs in other encodings": (
                f"{_FETCHING}url_lists.py::test_texts_of_other_encodings_are_replaced_in_every_column"
            ),
            "selections of nothing, of one row and of one class": (
                "curation/test_selections_conformance.py::test_pools_of_hardly_anything"
            ),
            "lists with lines of a hundred megabytes": (
                f"{_FETCHING}url_lists.py::test_a_line_of_a_hundred_megabytes_is_one_row_that_fails"
            ),
        },
    ),
    26: (
        "decompression bombs",
        {
            "images by their header, WebP before Pillow opens it": (
                f"{_IMAGES}a_bomb_is_refused_by_its_header"
            ),
            "a request's own bound of pixels": (
                f"{_IMAGES}who_asks_for_fewer_pixels_is_given_no_more_and_nobody_more_than_the_most"
            ),
            "slivers that explode when they are resized": (
                f"{_IMAGES}a_sliver_is_refused_because_resizing_it_would_explode"
            ),
            "texts of PNG, packed": f"{_IMAGES}texts_of_a_png_are_bounded_before_they_are_unpacked",
            "a fetch's bounds": f"{_CREW}what_a_request_bounds",
            "a fetched bomb has its reason": f"{_INGEST}every_row_ends_in_one_way",
            "bodies that come packed": f"{_WEB}each_misdeed_has_its_reason",
            "a decoder's memory": f"{_CHILDREN}a_bad_piece_harms_no_other",
            "pages of Parquet, whatever the footer says": (
                f"{_BOUNDED}a_page_that_would_become_too_much_is_refused"
            ),
            "dictionaries of Parquet": f"{_BOUNDED}rows_of_one_long_value_come_a_few_at_a_time",
            "lists of Parquet: one row of them": f"{_BOUNDED}a_list_of_one_long_value_is_refused",
            "lists of Parquet: rows": f"{_BOUNDED}rows_with_lists_of_long_values_come_a_few_at_a_time",
            "lists of Parquet: what says how long they are": f"{_BOUNDED}levels_that_end_early_are_of_one_row",
            "texts of Parquet that begin as the one before": (
                f"{_BOUNDED}texts_that_begin_as_the_one_before_come_a_few_at_a_time"
            ),
            "numbers of Parquet that differ by nothing": f"{_BOUNDED}numbers_that_differ_by_nothing_are_bounded",
            "all rows of Parquet": f"{_BOUNDED}rows_that_are_needed_at_once_have_a_bound",
            "members of .npz: headers": f"{_VECTORS}a_header_of_gigabytes_is_refused_before_it_is_read",
            "members of .npz: vectors": f"{_VECTORS}memory_is_bounded_and_the_thread_ends",
            "members of tars, sparse ones and those of impossible size": (
                f"{_TARS}a_member_of_impossible_size_does_not_hang"
            ),
            "members that are read at once": f"{_HOSTILE_TARS}what_is_wanted_is_read_up_to_a_size",
            "headers of tars": f"{_HOSTILE_TARS}a_header_that_would_take_all_memory_is_not_read",
            "members that lead back": (
                f"{_HOSTILE_TARS}a_sparse_member_of_negative_size_leads_round_in_no_circle"
            ),
            "counts beside a tar": f"{_HOSTILE_TARS}counts_are_read_up_to_a_size",
        },
    ),
    27: (
        "parsers' bombs: EXIF, SVG, animations",
        {
            "few formats": f"{_IMAGES}other_formats_are_refused_whatever_pillow_could_do",
            "no SVG": f"{_IMAGES}text_is_refused",
            "HEIC is no AVIF": f"{_IMAGES}an_avif_decodes_as_pillow_decodes_it_and_heic_is_none",
            "no parser of formats that are not wanted": f"{_IMAGES}no_parser_sees_a_format_that_is_not_wanted",
            "a JPEG that goes over its pixels again and again": (
                f"{_IMAGES}a_jpeg_has_so_many_scans_and_may_have_anything_behind_it"
            ),
            "one frame": f"{_IMAGES}of_an_animation_the_first_frame_is_taken",
            "no EXIF": f"{_IMAGES}exif_orientation_is_not_applied",
            "nor in what is made smaller": f"{_INGEST}a_larger_image_becomes_smaller_and_has_no_exif",
            "what parsers raise on damage": f"{_IMAGES}flipped_bytes_never_raise_anything_else",
        },
    ),
    28: (
        "members of tars that lead elsewhere",
        {
            "links, devices and other types": f"{_TARS}hostile_members_are_never_followed",
            "keys that lead out of their folder": f"{_TARS}keys_that_would_be_unsafe_as_paths_are_lost",
            "and those of Windows": (
                f"{_READ}what_people_have.py::test_paths_of_windows_lead_out_as_others_do"
            ),
            "a key in two places": f"{_TARS}a_key_in_two_places_is_an_error",
            "a suffix that comes again": f"{_TARS}a_repeated_suffix_begins_a_new_sample",
            "headers about headers": f"{_HOSTILE_TARS}headers_about_headers_have_an_end",
            "packed tars": f"{_TARS}a_compressed_tar_is_refused",
            "names of objects of a store": f"{_BAD_STORES}names_of_objects_lead_out_of_no_folder",
        },
    ),
    29: (
        "links in the output's folders",
        {
            "folders": f"{_STORAGE}linked_folders_are_refused",
            "files that are written": f"{_STORAGE}a_link_as_the_file_is_replaced_not_followed",
            "outputs": f"{_COMMITS}outputs_that_are_links_or_in_the_way_of_a_folder_are_refused",
            "paths that climb": f"{_STORAGE}paths_out_of_the_folder_are_refused",
            "attempts are private": f"{_COMMITS}attempts_are_private",
            "the lock": f"{_COMMIT}lock.py::test_linked_lock_is_refused",
            "records": f"{_COMMIT}power_loss.py::test_a_record_that_is_a_link_is_none",
            "what comes after the look": (f"{_STORAGE}a_link_that_comes_after_the_look_is_not_followed"),
            "journals": (
                f"{_COMMIT}power_loss.py::test_a_journal_that_somebody_planted_removes_nothing_outside"
            ),
            "pipes in the place of files": f"{_VECTORS}missing_folder_and_pipe",
        },
    ),
    30: (
        "pickles",
        {
            "arrays": f"{_VECTORS}pickles_are_refused_and_never_run",
            "checkpoints": f"{_EMBEDDING}encoder.py::test_a_pickled_checkpoint_is_refused_and_not_run",
            "members that webdataset would run": (
                "pipeline/webdataset/test_unpickled.py::test_an_exported_pool_can_be_decoded_without_"
                "running_its_code"
            ),
        },
    ),
    31: (
        "links that are commands",
        {
            "http and https alone": f"{_WEB}what_is_no_url_opens_no_connection",
            "at redirects too": f"{_WEB}each_misdeed_has_its_reason",
            "ports of other services": f"{_WEB}what_is_no_url_opens_no_connection",
        },
    ),
    35: (
        "addresses that are not of the public internet, in any clothes",
        {
            "private, loopback, link-local, carrier, reserved and multicast ones, in IPv6 and its tunnels": (
                f"{_ADDRESSES}what_is_not_of_the_public_internet_is_refused"
            ),
            "an address in IPv6 is what it is inside": (
                f"{_ADDRESSES}an_address_in_ipv6_clothes_is_what_it_is_inside"
            ),
            "tests allow loopback and nothing else": (
                f"{_ADDRESSES}tests_may_allow_this_machine_and_nothing_else"
            ),
            "numbers in any spelling": f"{_WEB}private_addresses_in_any_spelling",
            "a name that changes its answer": f"{_WEB}a_name_that_changes_its_answer_gains_nothing",
            "a name with both kinds": f"{_WEB}a_name_with_a_private_address_among_others_is_refused",
            "a name without an address": f"{_WEB}a_name_that_is_none_has_a_reason",
            "proxies of the environment": f"{_WEB}proxies_of_the_environment_are_not_used",
            "certificates": f"{_WEB}certificates_are_looked_at",
            "what speaks no TLS": f"{_WEB}what_speaks_no_tls_is_given_up_in_time",
        },
    ),
    36: (
        "redirects to these, and in circles",
        {
            "each is looked at": f"{_WEB}each_misdeed_has_its_reason",
            "five at the most": f"{_WEB}a_redirect_in_circles_is_followed_five_times",
            "where they led is kept": f"{_INGEST}where_redirects_led_is_kept_without_passwords_and_what_is_denied",
            "deny lists at each": f"{_WEB}nobody_is_asked_at_a_denied_address_that_a_redirect_leads_to",
        },
    ),
    37: (
        "bodies that drip, never end, or lie about their length",
        {
            "a bound, a deadline, and the length that was told": f"{_WEB}each_misdeed_has_its_reason",
            "a rate": f"{_WEB}too_slow_for_the_rate",
            "which what comes counts for": f"{_WEB}what_comes_counts_for_the_rate",
            "connections": f"{_WEB}no_connection_is_waited_for_longer_than_there_is_time",
            "what is no HTTP": f"{_WEB}what_is_no_http_is_a_reason_too",
            "a host that asks to wait": (
                f"{_CREW}a_host_that_asks_to_wait_is_left_alone_and_then_asked_for_less"
            ),
            "a network that is gone": (
                f"{_INGEST}a_piece_of_which_no_host_is_reached_is_fetched_when_the_network_is_back"
            ),
            "connections to one host": f"{_CREW}a_host_is_asked_so_many_times_at_once",
        },
    ),
    38: (
        "passwords in links",
        {
            "they are not fetched with, and written nowhere": f"{_INGEST}passwords_are_written_nowhere",
            "users, signatures and tokens": f"{_EXECUTION}progress.py::test_redaction",
            "addresses of stores": f"{_BAD_STORES}what_is_no_address_is_refused_without_its_credentials",
            "what a store says": f"{_BAD_STORES}what_a_store_refuses_is_said_in_words",
            "keys of stores": f"{_BAD_STORES}wrong_keys_are_named_and_not_shown",
        },
    ),
    42: (
        "other bytes than the list's sha256 says",
        {
            "the digest is compared": f"{_INGEST}a_known_sha256_is_checked",
            "in whatever type of text it comes": f"{_INGEST}a_sha256_is_read_from_every_kind_of_text",
            "and recorded else": f"{_INGEST}every_row_ends_in_one_way",
            "what was written is compared again": (
                f"{_FETCHING}verify_fetched.py::test_what_was_written_wrong_is_named"
            ),
        },
    ),
    44: (
        "samples that must not be there, or no more",
        {
            "links, hosts and digests": f"{_INGEST}what_is_denied_is_not_asked_for",
            "md5, and where redirects lead": (
                f"{_CREW}a_file_is_denied_by_its_digest_and_a_redirect_by_where_it_leads"
            ),
            "images of an attempt before the list": (
                f"{_INGEST}images_are_taken_over_only_if_they_are_what_is_asked_for"
            ),
            "links in any spelling": "curation/test_deny_lists.py::test_links_of_one_form_are_the_same",
            "all that came of a sample": f"{_RUNS}purge.py::test_nothing_says_a_purged_sample_any_more",
            "on stores": f"{_STORES}purges_on_stores.py::test_nothing_says_a_purged_sample_any_more",
            "hashes that two add at once": (
                f"{_STORES}purges_on_stores.py::test_hashes_that_two_add_at_once_are_all_kept"
            ),
        },
    ),
    45: (
        "owners who opted out",
        {
            "what headers say": f"{_WEB}who_opts_out",
            "they are looked at": f"{_WEB}each_misdeed_has_its_reason",
        },
    ),
    52: (
        "a store that is busy, torn, forgetful or away",
        {
            "busy": f"{_OBJECTS}a_busy_store_is_asked_again",
            "a lost answer, or a 409 after it was done": (
                f"{_OBJECTS}a_write_whose_answer_is_lost_is_won_if_it_stands"
            ),
            "a lost answer where another stands": (
                f"{_OBJECTS}a_write_that_meets_a_fault_is_lost_where_anothers_stands"
            ),
            "a conflict that was none": f"{_OBJECTS}a_write_that_was_not_done_is_done_again",
            "two writers": f"{_OBJECTS}of_many_writers_one_wins",
            "two who saw one state": f"{_OBJECTS}of_many_who_saw_one_state_one_replaces_it",
            "uploads in pieces": (
                f"{_OBJECTS}an_upload_that_breaks_between_its_pieces_arrives_whole_or_not_at_all"
            ),
            "torn uploads": f"{_OBJECTS}a_torn_upload_is_sent_again",
            "torn uploads over an object of the same size": (
                f"{_OBJECTS}a_torn_upload_over_an_object_of_the_same_size_is_sent_again"
            ),
            "torn downloads": f"{_OBJECTS}a_torn_download_is_asked_for_again",
            "bodies that never arrive whole": f"{_BAD_STORES}a_body_that_never_arrives_whole_is_said",
            "commits": f"{_STORED}faults_of_the_store_change_nothing",
            "leases": f"{_LEASE}it_survives_lost_answers_and_a_busy_store",
            "a stale listing": f"{_STORED}a_listing_that_lacks_the_newest_loses_nothing",
            "away, and started again": (
                f"{_STORES}restarts.py::test_a_server_that_stays_away_is_said_and_one_that_is_started_"
                "again_is_waited_for"
            ),
            "no bucket": f"{_BAD_STORES}a_bucket_that_is_not_there",
            "no rights": f"{_BAD_STORES}a_bucket_that_is_not_writable",
            "what it says is not what an object is called": (
                f"{_SAID}it_is_told_by_what_the_server_calls_it_and_not_by_names"
            ),
            "keys that expire, and other regions": f"{_SAID}what_lasts_is_not_waited_for_and_what_may_pass_is",
            "keys that are renewed": f"{_SAID}keys_of_a_profile_that_are_renewed_while_a_run_works_are_taken",
            "names that no file can have": f"{_SAID}a_name_that_no_file_can_have_is_renamed_as_the_message_says",
            "objects that go while they are brought": (
                f"{_SAID}an_object_that_goes_between_the_listing_and_its_bringing_is_named"
            ),
            "Google's conditions": f"{_SAID}commits_keep_googles_conditions_too",
        },
    ),
    53: (
        "libraries that telephone home",
        {
            "a run and an export": f"{_RUNS}purge.py::test_a_run_and_an_export_ask_nobody_for_anything",
            "weights": f"{_EMBEDDING}encoder.py::test_weights_that_are_not_here_are_not_fetched",
            "the hub": f"{_EMBEDDING}encoder.py::test_the_hub_is_switched_off_before_open_clip_is_loaded",
        },
    ),
}


@pytest.mark.parametrize("number", FAULTS)
def test_each_fault_is_injected_by_tests_that_are_there(number: int) -> None:
    _, guards = FAULTS[number]
    assert guards
    for guard, test in guards.items():
        file, _, name = test.partition("::")
        path = ROOT / "tests" / file
        assert path.is_file(), (guard, test)
        assert re.search(rf"^def {name}\(", path.read_text(), re.MULTILINE), (guard, test)
