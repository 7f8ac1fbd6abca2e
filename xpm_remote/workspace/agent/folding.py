"""Rows in the form in which pages hold them, which deflate packs into two thirds of the bytes.

A number, or a time in milliseconds, is sent as what it adds to that of the last row that has one: that is short, and
often the same. Hashes, of which deflate can make nothing, stand together, in base64; ``model.agent_pages`` puts
them back. Pure.
"""

from __future__ import annotations

import binascii
import re
from typing import Any, List

Row = List[Any]

NUMBER, HASH = 0, 2
"""The columns with a job's number, and its hash where it is listed."""

LISTED_TIMES = (3,)
"""The column of a listed job's submission."""

JOB_TIMES = (3, 4)
"""The columns of a job's start and end."""

LATEST = 2.0**43
"""Seconds: a time that is later is none, and its milliseconds would not be exact."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


def fold(rows: list[Row], times: tuple[int, ...]) -> list[Row]:
    """Replace numbers and times in rows by what they add.

    Args:
        rows: The rows; they are changed.
        times: The columns of times, in seconds.
    """
    last = dict.fromkeys((NUMBER, *times), 0)
    for row in rows:
        for column in last:
            value = row[column] if column < len(row) else None
            if column in times and value is not None:
                value = round(value * 1000) if abs(value) < LATEST else None
                row[column] = None
            if value is not None:
                row[column] = value - last[column]
                last[column] = value
    return rows


def take_hashes(rows: list[Row]) -> str:
    """Return the hashes of rows, those that are SHA-256 digests, in base64, and leave empty texts there."""
    digests = []
    for row in rows:
        if _DIGEST.fullmatch(row[HASH]):
            digests.append(row[HASH])
            row[HASH] = ""
    packed = binascii.b2a_base64(bytes.fromhex("".join(digests)), newline=False)
    return packed.decode()
