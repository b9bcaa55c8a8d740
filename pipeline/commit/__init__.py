"""The commit contract: attempts, records, publishing, and one run at a time in an output folder."""

from pipeline.commit.attempts import Attempt, attempt, forget, retire, sweep
from pipeline.commit.leftovers import remove_unowned
from pipeline.commit.records import (
    Output,
    Record,
    Unit,
    commit_folder,
    dump_record,
    find,
    fingerprint,
    output_of,
    read_record,
    record_file,
    records,
)
from pipeline.commit.sound import check_sound, is_sound, sound_bytes

__all__ = [
    "Attempt",
    "Output",
    "Record",
    "Unit",
    "attempt",
    "check_sound",
    "commit_folder",
    "dump_record",
    "find",
    "fingerprint",
    "forget",
    "is_sound",
    "output_of",
    "read_record",
    "record_file",
    "records",
    "remove_unowned",
    "retire",
    "sound_bytes",
    "sweep",
]
