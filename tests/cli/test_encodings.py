"""Output in other encodings than UTF-8, and on terminals that only print lines."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.cli.commands import COMMAND_LIMIT, Commands
from tests.cli.local import Local
from tests.cli.terminals import SCREEN_LIMIT

pytestmark = pytest.mark.slow

ENCODINGS = {
    "iso-8859-1": {"PYTHONIOENCODING": "iso-8859-1"},
    "cp1252": {"PYTHONIOENCODING": "cp1252:strict"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "utf-8": {},
}
LIKE_ASCII = ({"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
NAME = "Prüfung日→●"


@pytest.fixture
def local(commands: Commands, tmp_path: Path) -> Local:
    """A workspace with a job of an experiment whose name has characters of all kinds."""
    local = Local(commands, tmp_path)
    local.made.job("u/done1")
    local.made.run(["u/done1"], experiment=NAME)
    return local


def run(local: Local, encoding: dict[str, str], *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a process of its own; check that it shows no traceback."""
    environment = {**local.commands._environment(), **encoding}
    done = subprocess.run(
        [sys.executable, "-m", "xpm_remote", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=COMMAND_LIMIT,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr
    return done


WRITTEN = {
    "iso-8859-1": "Prüfung\\u65e5->*",
    "cp1252": "Prüfung\\u65e5->*",
    "ascii": "Pr\\xfcfung\\u65e5->*",
    "utf-8": NAME,
}


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_picture(encoding: str, local: Local) -> None:
    """The picture has other characters for those that the encoding lacks, within its width."""
    done = run(local, ENCODINGS[encoding], "experiments", "monitor", "--once")
    text = done.stdout.decode(encoding)
    assert done.returncode == 0
    assert WRITTEN[encoding] in text
    assert "* live" in text or encoding == "utf-8"
    assert max(map(len, text.splitlines())) <= 160


@pytest.mark.parametrize("environment", LIKE_ASCII)
def test_locale_of_ascii(environment: dict[str, str], local: Local) -> None:
    """LC_ALL=C is ASCII, whether Python takes it for UTF-8 or not."""
    done = run(local, environment, "experiments", "monitor", "--once")
    assert WRITTEN["ascii"] in done.stdout.decode("ascii")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_documents(encoding: str, local: Local) -> None:
    """JSON is ASCII where the encoding is not UTF-8, and says the same in every encoding."""
    words = ("experiments", "monitor", "--once", "--format", "json")
    done = run(local, ENCODINGS[encoding], *words)
    assert done.stdout.isascii() == (encoding != "utf-8")
    assert json.loads(done.stdout)["experiments"][0]["id"] == NAME


@pytest.mark.parametrize("encoding", ["iso-8859-1"])
def test_errors(encoding: str, local: Local) -> None:
    """Errors, hints and reports are written so, too."""
    words = ("doctor", "127.0.0.1", "/ws", "-o", "Port=1", "-o", "HostKeyAlias=é日")
    done = run(local, ENCODINGS[encoding], *words)
    assert done.returncode == 11
    assert "-> " in done.stdout.decode(encoding)
    unknown = run(local, ENCODINGS[encoding], "experiments", "--workspace", NAME, "ssh-monitor")
    assert WRITTEN[encoding] in unknown.stderr.decode(encoding)


@pytest.mark.parametrize("form", ["text", "json"])
def test_events(form: str, local: Local) -> None:
    """Each change is a line in the encoding."""
    words = f"experiments monitor --events-viewer --events-format {form}"
    with terminal(local, f"{words} | cat", **ENCODINGS["ascii"]) as child:
        child.expect("live")
        local.made.run(["u/done1"], experiment=f"{NAME}2")
        if form == "json":
            child.expect_exact(json.dumps(f"{NAME}2"))
        else:
            child.expect_exact(f"experiment {WRITTEN['ascii']}2  new -> done")


def test_dumb_terminal(local: Local) -> None:
    """A terminal on which one cannot draw gets a line for each change, as it comes."""
    with terminal(local, "experiments monitor", TERM="dumb") as child:
        child.expect("link to .* live: 1 experiment, 1 job")
        local.made.run(["u/done1"], experiment="other")
        child.expect("experiment other  new → done")
        assert "\x1b" not in child.before


def test_dumb_terminal_and_doctor(local: Local) -> None:
    """The report of doctor has no colours and erases nothing there."""
    with terminal(local, "doctor 127.0.0.1 /ws -o Port=1", TERM="dumb") as child:
        child.expect(pexpect.EOF)
        assert "refused" in child.before
        assert "\x1b" not in child.before


@contextmanager
def terminal(local: Local, words: str, **others: str) -> Iterator[Any]:
    """Run a command of a shell in a terminal."""
    command = f"{sys.executable} -m xpm_remote {words}"
    child = pexpect.spawn(
        "/bin/sh",
        ["-c", command],
        env={**local.commands._environment(), **others},
        encoding="utf-8",
        timeout=SCREEN_LIMIT,
    )
    try:
        yield child
    finally:
        child.close(force=True)
