"""Headers made many at once are those made one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.webdataset.tar_writing import BLOCK, LARGEST, header
from pipeline.webdataset.uid_headers import UidHeaders

KINDS = ("jpg", "json", "mask.png", "é", "x" * 67, "y" * 68, "\udcff.npy")
MEMBERS = st.tuples(
    st.sampled_from(range(len(KINDS))),
    st.text("0123456789abcdef", min_size=32, max_size=32),
    st.integers(0, LARGEST) | st.sampled_from((0, 7, 8, 511, 512, LARGEST)),
)


def test_names_of_more_than_a_hundred_bytes_are_not_plain() -> None:
    plain = UidHeaders(KINDS).plain.tolist()
    assert plain == [len(header(f"{'f' * 32}.{kind}", 1)) == BLOCK for kind in KINDS]
    assert plain == [True] * 5 + [False, True]


@given(st.lists(MEMBERS, min_size=1, max_size=20))
def test_each_is_the_header_that_is_written_alone(members: list[tuple[int, str, int]]) -> None:
    headers = UidHeaders(KINDS)
    plain = [one for one in members if headers.plain[one[0]]]
    found = headers.blocks(
        np.array([kind for kind, _, _ in plain], np.int64),
        np.array([list(uid.encode()) for _, uid, _ in plain], np.uint8).reshape(-1, 32),
        np.array([size for _, _, size in plain], np.int64),
    )
    assert [one.tobytes() for one in found] == [
        header(f"{uid}.{KINDS[kind]}", size) for kind, uid, size in plain
    ]
