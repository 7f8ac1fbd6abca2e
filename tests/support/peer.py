"""Ask the real experimaestro (GPL: run, never imported) by scripts in its venv: many questions, one process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PYTHON_VARIABLE = "XPM_TEST_PEER_PYTHON"
DEFAULT_PYTHON = Path(__file__).parents[2] / ".venvs" / "experimaestro" / "bin" / "python"
SCRIPTS = Path(__file__).parent / "scripts"
LIMIT = 300.0
"""Seconds for thousands of questions: ten times what they take."""
END_LIMIT = 10.0
"""Seconds for a script to end when there are no more questions."""


def peer_python() -> Path:
    """Return the python of the real experimaestro; fail the test where there is none."""
    python = Path(os.environ.get(PYTHON_VARIABLE) or DEFAULT_PYTHON)
    if not python.exists():
        pytest.fail(
            f"there is no real experimaestro: {python} does not exist;"
            f" `make test` makes it, or {PYTHON_VARIABLE} names the python of another",
            pytrace=False,
        )
    return python


def run_peer(script: str | Path, lines: Sequence[str], *arguments: str | Path) -> list[Any]:
    """Return the answers of a script of ours to lines of JSON.

    Args:
        script: Its name, or its path if it is elsewhere.
        lines: The lines.
        arguments: What it is started with.
    """
    done = subprocess.run(
        [peer_python(), SCRIPTS / script, *arguments],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(lines)
    return answers


class Peer:
    """A running script that answers each line at once."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, question: object) -> Any:
        """Return its answer to a question."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the script of the real experimaestro has ended"
        return json.loads(line)


@contextmanager
def running_peer(script: str | Path, *arguments: str) -> Iterator[Peer]:
    """Run a script of ours until the context ends."""
    process = subprocess.Popen(
        [peer_python(), SCRIPTS / script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield Peer(process)
        process.communicate(timeout=END_LIMIT)
    finally:
        process.kill()
        process.communicate()
