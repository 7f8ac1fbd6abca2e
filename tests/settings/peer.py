"""Asking the real experimaestro what it makes of settings files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

from tests.support.peer import run_peer

SCRIPT = Path(__file__).parent / "scripts" / "ask_peer.py"


class Case(Struct, frozen=True, kw_only=True):
    """A settings file and a query."""

    text: str
    environ: dict[str, str] = {}
    experiment: str | None = None
    workspace: str | None = None
    workdir: str | None = None


def ask(cases: Sequence[Case], home: Path) -> list[dict[str, Any]]:
    """What experimaestro makes of each case, in one process whose home is the given, empty folder."""
    return run_peer(SCRIPT, [json.dumps(to_builtins(case)) for case in cases], home)
