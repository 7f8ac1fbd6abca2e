"""Rows as they are sent: what is put back is what was folded, and takes fewer bytes."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.pages import folded, unfolded

NUMBERS = st.integers(0, 10**6)
TIMES = st.none() | st.integers(-(10**9), 10**13).map(lambda thousandths: thousandths / 1000)
HASHES = st.binary(max_size=3).map(lambda data: hashlib.sha256(data).hexdigest())
IDS = HASHES | HASHES.map(str.upper) | st.text(min_size=1, max_size=70)


def sent(kind: str, rows: list[list[Any]]) -> dict[str, Any]:
    """Return a notification with rows as it is read at the other end."""
    params = folded(kind, {"experiment_id": "e", "rows": rows})
    notice: dict[str, Any] = json.loads(
        json.dumps({"method": f"notification.{kind}", "params": params})
    )
    return notice


@given(st.lists(st.tuples(NUMBERS, st.just(0), IDS, TIMES, st.just({"x": 1}), st.just("done"))))
def test_listed(rows: list[tuple[Any, ...]]) -> None:
    """Numbers, hashes and other names, and times to a thousandth of a second, come back as they were."""
    told = [list(row) for row in rows]
    assert unfolded(sent("listed", told)) == told


@given(st.lists(st.tuples(NUMBERS, st.just("done"), st.none(), TIMES, TIMES, st.just(3))))
def test_jobs(rows: list[tuple[Any, ...]]) -> None:
    """The times of jobs come back as they were, whichever of them jobs have."""
    told = [list(row) for row in rows]
    assert unfolded(sent("jobs", told)) == told


def test_short_rows() -> None:
    """A job without times takes none from the rows before it, and a time that is none is left out."""
    rows = [[7, "done", None, 5.0, 9.5], [3, "waiting"], [4, "running", None, 6.25, 1e300, None, 1]]
    found = unfolded(sent("jobs", rows))
    assert found == [rows[0], rows[1], [4, "running", None, 6.25, None, None, 1]]


def test_size() -> None:
    """Of a thousand jobs in a row, the hashes take most of what is left."""
    hashes = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(1000)]
    rows = [[n, 0, each, 1.7e9 + 61.5 * n, {"x": n % 5}, "done"] for n, each in enumerate(hashes)]
    packed = zlib.compress(json.dumps(sent("listed", rows)["params"]).encode(), 3)
    assert len(packed) < 1.15 * 32 * len(rows)
