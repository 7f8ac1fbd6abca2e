"""Asks the real experimaestro, which lives in a venv of its own: it is GPL, and run, never imported."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, to_builtins

PYTHON_VARIABLE = "XPM_TEST_PEER_PYTHON"
DEFAULT_PYTHON = Path(__file__).parents[2] / ".venvs" / "experimaestro" / "bin" / "python"
SCRIPT = Path(__file__).parent / "scripts" / "ask_peer.py"
LIMIT = 300.0
"""Seconds for thousands of settings files, each validated anew: ten times what they take."""


class Case(Struct, frozen=True, kw_only=True):
    """A settings file and a query."""

    text: str
    environ: dict[str, str] = {}
    experiment: str | None = None
    workspace: str | None = None
    workdir: str | None = None


def ask(cases: Sequence[Case], home: Path) -> list[dict[str, Any]]:
    """What experimaestro makes of each case, in one process whose home is the given, empty folder."""
    python = Path(os.environ.get(PYTHON_VARIABLE) or DEFAULT_PYTHON)
    if not python.exists():
        pytest.fail(
            f"no real experimaestro to compare with: {python} does not exist;"
            f" `make test` makes it, or {PYTHON_VARIABLE} names the python of another",
            pytrace=False,
        )
    done = subprocess.run(
        [python, SCRIPT, home],
        input="".join(json.dumps(to_builtins(case)) + "\n" for case in cases),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(cases)
    return answers
