"""Fixtures that any test may use, and sshd's log in the report of a test that failed with the server."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support.effort import examples
from tests.support.errors import ServerUnavailableError
from tests.support.launch import start_server
from tests.support.order import longest_first, make_scheduler
from tests.support.server import Server
from tests.support.workspaces import RealWorkspace, make_real_workspace
from xpm_remote.settings.schema import SshEngine

# Compiled once: hundreds of processes import the package, and every worker the tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# The python3 of a version manager is a shell script, slower than most of the tests that run python3.
_python = Path(shutil.which("python3") or sys.executable)
if _python.read_bytes()[:2] == b"#!":
    _others = [each for each in os.get_exec_path() if Path(each) != _python.parent]
    os.environ["PATH"] = os.pathsep.join([f"{sys.base_prefix}/bin", *_others])
# No deadline: the machine may be busy with other tests.
settings.register_profile("ours", max_examples=examples(30, 100), deadline=None)
settings.load_profile("ours")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The OpenSSH test server, started once a session."""
    try:
        started = start_server(tmp_path_factory.mktemp("server"), os.environ)
    except ServerUnavailableError as error:
        # Not pytest.fail(): the report would show both exceptions, and so the one line twice.
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    yield started
    started.close()


@pytest.fixture(scope="session")
def real_workspace(server: Server) -> RealWorkspace:
    """A workspace of alice with a finished experiment, and one that runs as long as the session."""
    return make_real_workspace(server)


@pytest.fixture(params=[SshEngine.ASYNCSSH, SshEngine.OPENSSH], ids=lambda engine: engine.value)
def engine(request: pytest.FixtureRequest) -> SshEngine:
    """Each SSH engine: a test with this fixture is run once for each."""
    chosen: SshEngine = request.param
    return chosen


def pytest_configure(config: pytest.Config) -> None:
    """Have SIGTERM and SIGHUP end the tests as Ctrl-C does: servers are closed, workers are stopped."""
    if hasattr(config, "workerinput"):
        return
    # A shell that starts this in the background, as tools/test.sh does, has it ignore SIGINT.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.default_int_handler)
    # Not under nohup.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that need the server, so that ``-m "not server"`` leaves them out; put the longest files first."""
    for item in items:
        if "server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.server)
    longest_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return the scheduler that assigns files to workers."""
    return make_scheduler(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the end of sshd's log to the report of a failed test that used the server."""
    report = yield
    used = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(used, Server):
        report.sections.append(("sshd log", used.log_tail()))
    return report
