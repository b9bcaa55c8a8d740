"""The commit contract: attempts, records, publishing, and one run at a time in an output folder."""

from pipeline.commit.attempts import Attempt, attempt, forget, retire, sweep
from pipeline.commit.records import Output, Record, Unit, find, fingerprint, read_record, records

__all__ = [
    "Attempt",
    "Output",
    "Record",
    "Unit",
    "attempt",
    "find",
    "fingerprint",
    "forget",
    "read_record",
    "records",
    "retire",
    "sweep",
]
