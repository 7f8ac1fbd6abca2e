"""Times in a workspace: naive ISO text in the zone of the host that wrote it, here seconds since the epoch.

This code runs on that host, or on one of the same zone, so the system's own zone is the right one. Pure.
"""

from __future__ import annotations

from datetime import datetime

from xpm_remote.workspace.reading.json_files import number_of


def parse_time(value: object, not_before: float | None = None) -> float | None:
    """Read a time: ISO text (naive: in the zone of this host) or epoch seconds; None when it is neither.

    When clocks are set back, an hour comes twice. It is the first one, unless that lies before ``not_before``.
    """
    if not isinstance(value, str):
        return number_of(value)
    try:
        time = datetime.fromisoformat(value[:-1] + "+00:00" if value.endswith("Z") else value)
        seconds = time.timestamp()
        if not_before is None or seconds >= not_before or time.tzinfo is not None:
            return seconds
        second = time.replace(fold=1).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return second if second >= not_before else seconds
