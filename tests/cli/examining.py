"""Run the doctor in a test and read its report."""

from __future__ import annotations

from typing import Any

from tests.cli.commands import Commands, Finished
from tests.support.server import Server
from xpm_remote.doctor.stages import Stage

STAGES = [stage.value for stage in Stage]
REMOTE_END = 10.0
"""Seconds for the remote side to end after us."""

Document = dict[str, Any]


def examine(commands: Commands, *arguments: str) -> tuple[Finished, Document]:
    """Run the command with JSON and the engine of the test; return the document, too."""
    engine = ("--ssh-engine", commands.engine) if commands.engine else ()
    finished = commands.run("doctor", *engine, "--format", "json", "--listen", "0", *arguments)
    return finished, finished.document


def stage_of(document: Document, name: str) -> Document:
    """Return the one stage of that name."""
    (found,) = [each for each in document["stages"] if each["stage"] == name]
    stage: Document = found
    return stage


def expect_failure(
    examined: tuple[Finished, Document], stage: str, code: int, *words: str
) -> Document:
    """Check that a stage failed with this code and these words, and that the later ones were skipped."""
    finished, document = examined
    failed = stage_of(document, stage)
    assert (finished.status, document["exit_code"]) == (code, code), finished.stderr
    assert (failed["verdict"], failed["error"]["code"]) == ("failed", code)
    for word in words:
        assert word in f"{failed['error']['what']}; {failed['error']['hint']}"
    after = document["stages"][document["stages"].index(failed) + 1 :]
    assert [each["stage"] for each in after] == STAGES[STAGES.index(stage) + 1 :]
    assert {each["verdict"] for each in after} <= {"skipped"}
    assert failed["error"]["what"] in finished.stderr
    return failed


def ours(server: Server, login: str = "alice") -> list[str]:
    """Return our processes that run for a user through SSH."""
    processes = server.processes(login)
    return [
        each.arguments
        for each in processes
        if "monitor-server" in each.arguments or "xpm-remote" in each.arguments
    ]
