"""Text fit for a terminal: remote text that cannot move the cursor; every time, size and count; tables. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from xpm_remote.escaping import safe
from xpm_remote.workspace.rows import SLURM

if TYPE_CHECKING:
    from xpm_remote.model.entities import Job
    from xpm_remote.session.state import Digest, Stall
    from xpm_remote.workspace.states import Progress


CONTINUED = 4
"""Columns by which the rest of a long line is indented, so that it differs from the next line."""

SHORT_ID = 8
"""Characters of a job id that are shown: 1 in 4 billion that two are the same."""

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_NEAR = 0.05
"""Of a unit, by which a length of time is still taken for a whole number of it."""

_FINE = 10.0
"""Seconds from which on a hundredth of one says nothing."""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_KIB = 1024


class Line(NamedTuple):
    """A line, and the column at which its rest goes on where it is too long for the terminal."""

    text: str
    indent: int = CONTINUED


def local_time(epoch: float) -> str:
    """Return a time in ISO 8601, with the offset of the zone that holds here then."""
    return datetime.fromtimestamp(epoch, timezone.utc).astimezone().isoformat()


def span(seconds: float) -> str:
    """Return a length of time in its two largest units: ``42 s``, ``3 min 5 s``, ``2 h 10 min``, ``5 d 3 h``."""
    whole = max(0, math.floor(seconds))
    parts = [
        f"{value} {unit}"
        for value, unit in (
            (whole // _DAY, "d"),
            (whole % _DAY // _HOUR, "h"),
            (whole % _HOUR // _MINUTE, "min"),
            (whole % _MINUTE, "s"),
        )
    ]
    first = next((index for index, part in enumerate(parts) if part[0] != "0"), len(parts) - 1)
    return " ".join(parts[first : first + 2])


def rough_span(seconds: float) -> str:
    """Return a length of time in its largest unit, in whole minutes at least: ``<1 min``, ``12 min``, ``5 d``."""
    return "<1 min" if seconds < _MINUTE else " ".join(span(seconds).split()[:2])


def left_text(least: float, most: float) -> str:
    """Return how much longer something is likely to take: ``~40 min``, ``~2-3 h``, ``~50 min-3 h``."""
    if most < _MINUTE:
        return "<1 min"
    low, low_unit = _whole(least, lambda units: math.floor(units + _NEAR))
    high, high_unit = _whole(most, lambda units: math.ceil(units - _NEAR))
    if low_unit != high_unit and low:
        return f"~{low} {low_unit}-{high} {high_unit}"
    return f"~{high} {high_unit}" if low == high else f"~{low}-{high} {high_unit}"


def rate_text(rate: float) -> str:
    """Return how fast something goes on, of which a part is done in a second: ``1.2 % a min``, ``3.5 % a day``."""
    unit, seconds = next(
        (each for each in (("min", _MINUTE), ("h", _HOUR)) if rate * each[1] >= 0.01), ("day", _DAY)
    )
    return f"{rate * seconds * 100:.2g} % a {unit}"


def _whole(seconds: float, rounded: Callable[[float], int]) -> tuple[int, str]:
    """Return a length of time as a number of its unit: minutes below two hours, hours below two days, else days."""
    for size, unit, most in ((_MINUTE, "min", 2 * _HOUR), (_HOUR, "h", 2 * _DAY)):
        if seconds <= most:
            return rounded(seconds / size), unit
    return rounded(seconds / _DAY), "d"


def duration(seconds: float) -> str:
    """Return a measured time: ``3 ms``, ``0.52 s``, ``12.3 s``."""
    if abs(seconds) < 0.1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.1f} s" if abs(seconds) >= _FINE else f"{seconds:.2f} s"


def elapsed(moment: datetime | None, now: float) -> str:
    """Return the time from a moment to ``now`` (epoch seconds of the same clock); empty when it is unknown."""
    return "" if moment is None else span(now - moment.timestamp())


def ago(moment: datetime | None, now: float) -> str:
    """Return roughly how long ago a moment was: ``3 min ago``; empty when it is unknown."""
    return "" if moment is None else f"{' '.join(elapsed(moment, now).split()[:2])} ago"


def digest_words(digest: Digest) -> str:
    """Return what happened while the link was lost: ``away 2 h 10 min: 14 done, 2 failed, 1 started``."""
    counted = ((digest.done, "done"), (digest.failed, "failed"), (digest.started, "started"))
    happened = ", ".join(f"{number} {word}" for number, word in counted if number)
    return f"away {span(digest.away)}: {happened or 'nothing happened'}"


def stall_words(stall: Stall) -> str:
    """Return what does not answer: ``the file server does not answer (waiting for /data/ws)``."""
    return safe(f"{stall.why} (waiting for {stall.waits_for})")


def unread_words(path: str, why: str, more: int) -> str:
    """Return what cannot be read: ``/data/ws/jobs cannot be read: Stale file handle, and 3 more``."""
    what = "does not answer" if path == SLURM else "cannot be read"
    return safe(f"{path} {what}: {why}{f', and {more} more' if more else ''}")


def reread_words(path: str) -> str:
    """Return that what could not be read can be read again."""
    return f"{path} {'answers' if path == SLURM else 'can be read'} again"


def short_key(job: Job) -> str:
    """Name a job briefly: its task and the first characters of its id."""
    return safe(f"{job.task_id}/{job.job_id[:SHORT_ID]}")


def tags(values: Mapping[str, Any]) -> str:
    """List tags as ``name=value``, in order of their names."""
    return " ".join(tag_text(name, values[name]) for name in sorted(values))


def tag_text(name: str, value: object) -> str:
    """Return a tag as ``name=value``."""
    return safe(f"{name}={value}")


def percent(steps: Iterable[Progress]) -> str:
    """Return the progress of each level: ``45 %``, or ``45 % > 50 %``; empty for none."""
    return " > ".join(f"{step.fraction or 0.0:.0%}".replace("%", " %") for step in steps)


def activity(steps: Iterable[Progress]) -> str:
    """Return what a job is at, from its outermost level inwards; empty when it says nothing."""
    return safe(" > ".join(step.description for step in steps if step.description))


class Format(str, Enum):
    """How events are written."""

    TEXT = "text"
    JSON = "json"


def table(rows: Iterable[Sequence[str]], *, indent: int = 0) -> Iterator[str]:
    """Yield a line for each row, with the columns below each other; columns that are empty are left out."""
    columns = [list(map(safe, column)) for column in zip(*rows, strict=True)]
    shown = [column for column in columns if any(column)]
    widths = [max(map(len, column)) for column in shown]
    for row in zip(*shown, strict=True):
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield (" " * indent + "  ".join(cells)).rstrip()


def size_text(size: float) -> str:
    """Return a number of bytes in its unit: ``0 B``, ``12 KiB``, ``1.5 GiB``."""
    value, unit = float(size), 0
    while round(value) >= _KIB and unit < len(_UNITS) - 1:
        value, unit = value / _KIB, unit + 1
    digits = 1 if unit and value < 10 else 0
    return f"{value:.{digits}f} {_UNITS[unit]}"


def count_text(count: int, name: str) -> str:
    """Count things: ``1 job``, ``2 jobs``."""
    return f"{count:,} {name}{'' if count == 1 else 's'}"
