"""One file a stage, in the order in which they run.

Every stage plans its units in the driver, from the plan and from what earlier stages committed, and performs
them wherever the executor puts them.
"""

STAGES: tuple[str, ...] = (
    "read",  # rows of every set; images become embeddings
    "catalog",  # each set as a whole: duplicate uids, expected counts
    "index",  # benchmark vectors as FAISS files
    "calibrate",  # each reference part against all queries
    "thresholds",  # per query, how near the reference comes
    "measure",  # each pool part against all queries: the one expensive pass
    "neighbours",  # per query, its nearest pool samples
    "split",  # rules over the measured columns
    "surviving",  # per split and query, the nearest samples that are still there
    "rescan",  # vectors again, only for queries whose every listed neighbour was dropped
    "gap",  # per split and query, the nearest kept samples
    "report",
)

# Stages whose units take one or more parts of a set, as `engine.unit_rows` and the parts' sizes have it.
REGROUPED: tuple[str, ...] = ("calibrate", "measure", "rescan")
