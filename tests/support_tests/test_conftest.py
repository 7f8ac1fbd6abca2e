"""The fixtures and the report, in a pytest of their own."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PYTEST_LIMIT = 120.0
"""Seconds for a session with one test, which may start a server."""
CHECKOUT = Path(__file__).resolve().parents[2]

USING_SERVER = """
from tests.support.server import Server

def test_first(server: Server) -> None:
    raise AssertionError("the test's own words")

def test_second(server: Server) -> None:
    pass

def test_other() -> None:
    pass
"""


LEAVING_A_JOB_BEHIND = """
from tests.support.polling import wait_until
from tests.support.server import Server

def test_it(server: Server) -> None:
    experiment = server.start_experiment("{name}", "left", long=1, long_seconds=600)
    pids = f"ls {{experiment.workspace}}/jobs/*/*/long.pid"
    wait_until(lambda: server.run("alice", pids, check=False), 60.0, "the job's process")
"""


def run_pytest(
    folder: Path, *options: str, environ: Mapping[str, str], text: str = USING_SERVER
) -> str:
    """Run pytest on a module of this text with the fixtures of this checkout; return its output."""
    (folder / "test_sample.py").write_text(text)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", "pyproject.toml"),
            *("-p", "no:cacheprovider", *options, str(folder)),
        ],
        cwd=CHECKOUT,
        env={key: value for key, value in environ.items() if key != "PYTEST_ADDOPTS"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PYTEST_LIMIT,
        check=False,
    )
    return done.stdout + done.stderr


def test_without_any_engine_each_test_fails_with_one_line(tmp_path: Path) -> None:
    """Tests that need the server fail with one line that says why; others run, none is skipped."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("XPM_TEST_")}
    output = run_pytest(tmp_path, environ={**ours, "PATH": str(tmp_path)})
    assert "1 passed, 2 errors" in output
    section = output.partition("ERROR at setup of test_first")[2].partition("\n__")[0]
    said = [line for line in section.splitlines()[1:] if line.strip()]
    assert len(said) == 1
    assert said[0].startswith("the test server needs docker or podman")


def test_an_unknown_kind_of_server_is_an_error(tmp_path: Path) -> None:
    """A misspelt XPM_TEST_SSH fails the tests, without a fallback."""
    output = run_pytest(tmp_path, environ={**os.environ, "XPM_TEST_SSH": "locale"})
    assert "XPM_TEST_SSH is 'locale'; it may be unset or 'local'" in output
    assert "1 passed, 2 errors" in output


def test_a_failure_shows_the_log_of_sshd(tmp_path: Path) -> None:
    """The report of a failed test that used the server ends with sshd's log; a passed one has none."""
    output = run_pytest(tmp_path, environ=os.environ)
    assert "1 failed, 2 passed" in output
    assert "the test's own words" in output
    assert output.count("- sshd log -") == 1
    assert "Server listening on" in output


def test_server_tests_can_be_left_out_by_their_mark(tmp_path: Path) -> None:
    """What uses the server is marked, so that ``-m "not server"`` runs all the rest."""
    output = run_pytest(tmp_path, "-m", "not server", environ=os.environ)
    assert "1 passed, 2 deselected" in output


def test_nothing_outlives_the_session(tmp_path: Path) -> None:
    """When a session ends, so do the server and the jobs that still ran on it."""
    name = f"workspace-{secrets.token_hex(8)}"
    output = run_pytest(tmp_path, environ=os.environ, text=LEAVING_A_JOB_BEHIND.format(name=name))
    assert "1 passed" in output
    # The job's command line has its folder in it; a container's processes are seen from outside.
    assert [line for line in command_lines() if name in line] == []


def command_lines() -> Iterator[str]:
    """Yield the command line of each process of this machine."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # gone meanwhile
            yield file.read_text(errors="replace")
