"""How much the tests try: a share of their examples by default, all of them in ``make test-all``."""

from __future__ import annotations

import os

ALL = bool(os.environ.get("XPM_TEST_ALL"))
"""Whether everything is tried."""


def examples(default: int, full: int) -> int:
    """Return ``full`` where ``XPM_TEST_ALL`` is set, ``default`` otherwise."""
    return full if ALL else default
