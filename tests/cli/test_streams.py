"""Standard output that is full, closed or no longer read, and errors with what a terminal would obey."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import COMMAND_LIMIT, Commands
from tests.cli.local import Local
from tests.support.effort import ALL

pytestmark = pytest.mark.slow

STATUS = {"full": 7, "closed": 7, "unread": 1}
"""The exit status of a command that has done all, by what is wrong with its output."""


@pytest.fixture
def local(commands: Commands, tmp_path: Path) -> Local:
    """A workspace with jobs to be shown, archived, recovered, cleaned and removed."""
    local = Local(commands, tmp_path)
    for name in ("u/done1", "u/done2", "u/lost1", "u/lost2"):
        local.made.job(name)
    local.backup.job("u/gone1")
    local.backup.job("u/gone2")
    local.made.run(["u/done1", "u/done2", "u/gone1", "u/gone2"])
    return local


def run(local: Local, how: str, *words: str) -> tuple[int, str]:
    """Run a command whose output goes nowhere; return its exit status and its stderr."""
    redirection = {"full": ">/dev/full", "closed": ">&-", "unread": ""}[how]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as unread:
        done = subprocess.run(
            ["sh", "-c", f'"$@" {redirection}', "sh", sys.executable, "-m", "xpm_remote", *words],
            env=local.commands._environment(),
            stdout=unread,
            stderr=subprocess.PIPE,
            text=True,
            timeout=COMMAND_LIMIT,
            check=False,
        )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


SHOWING = (
    ("--help",),
    ("jobs", "list"),
    ("jobs", "list", "--format", "json"),
    ("jobs", "log", "done1"),
    ("orphans",),
    ("workspaces", "list"),
    ("experiments", "monitor", "--once"),
    ("experiments", "monitor", "--events-viewer"),
)
CASES = [
    (how, words)
    for index, words in enumerate(SHOWING)
    for how in (STATUS if ALL else [list(STATUS)[index % len(STATUS)]])
]
"""Each command that shows something with each output, or with one of them."""


@pytest.mark.parametrize(("how", "words"), CASES)
def test_output_that_cannot_be_written(how: str, words: tuple[str, ...], local: Local) -> None:
    """A command that shows something ends with a line and a code; a reader that has gone needs no line."""
    (local.made.layout.jobs / "u" / "done1" / "u.err").write_text("printed\n")
    status, error = run(local, how, *words)
    assert status == STATUS[how]
    assert ("output cannot be written" in error) == (how != "unread"), error


@pytest.mark.parametrize("how", STATUS)
def test_work_is_finished(how: str, local: Local) -> None:
    """What was asked for is done to the end, whether its report can be written or not; the code tells."""
    jobs = local.made.layout.jobs / "u"
    done = [
        run(local, how, "jobs", "archive", "done1", "done2")[0],
        run(local, how, "jobs", "recover", "--missing")[0],
        run(local, how, "jobs", "clean", "done1", "done2", "--perform", "--format", "json")[0],
        run(local, how, "orphans", "--clean", "--yes")[0],
    ]
    assert done == [STATUS[how]] * 4
    assert sorted(each.name for each in jobs.iterdir()) == ["gone1", "gone2"]
    assert (local.backup.layout.jobs / "u" / "done2").is_dir()


def test_code_of_the_work_counts(local: Local) -> None:
    """Where the work failed, too, its code counts, and both are said."""
    status, error = run(local, "full", "jobs", "clean", "done1", "gone1*", "nowhere*", "--perform")
    assert (status, "no job" in error, "output cannot" in error) == (31, True, False)
    (local.made.layout.jobs / "u" / "done2" / "u.done").unlink()
    status, error = run(local, "full", "jobs", "clean", "done1", "done2", "--perform")
    assert (status, "1 job of 2" in error, "output cannot" in error) == (34, True, True)
    assert not (local.made.layout.jobs / "u" / "done1").exists()


HOSTILE = """
import logging, sys, threading
from xpm_remote.cli import main, output, streams
streams.guard_streams()
output.set_up_logs(debug=False, quiet=False)
def fail(): raise RuntimeError("\x1b[31mred \x9b \u202e")
def interrupt(*_, **__): raise KeyboardInterrupt
class Bad:
    def __del__(self): fail()
if sys.argv[1] == "uncaught": fail()
if sys.argv[1] == "thread": threading.Thread(target=fail).start()
if sys.argv[1] == "unraisable": Bad()
if sys.argv[1] == "log":
    try: fail()
    except RuntimeError: logging.getLogger("asyncio").exception("\x1b[2J")
if sys.argv[1] == "printing":
    def invoke(*_, **__): raise main.XpmRemoteError("\x1b[31mred")
    main.root.main, main.click.echo = invoke, interrupt
    main.run()
"""


@pytest.mark.parametrize("how", ["uncaught", "thread", "unraisable", "log", "printing"])
def test_errors_are_escaped(how: str) -> None:
    """No traceback has what a terminal would obey; Ctrl-C while an error is printed has none."""
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, how],
        capture_output=True,
        timeout=COMMAND_LIMIT,
        check=False,
    )
    error = done.stderr.decode()
    assert all(char.isprintable() or char == "\n" for char in error), error
    if how == "printing":
        assert (done.returncode, error) == (130, "")
    else:
        assert "RuntimeError: \\x1b[31mred \\x9b \\u202e" in error
