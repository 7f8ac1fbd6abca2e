"""The full-screen dashboard over SSH: real jobs that are killed, links that are cut, and logins."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.cli.far import Far
from tests.cli.test_screen import TRACEBACK
from tests.cli.test_ssh_monitor_person import proxy
from tests.support.experiments import Experiment
from tests.support.passwords import KIM, PASSWORD, code, require_passwords
from tests.support.polling import wait_until
from tests.support.proxy import Proxy
from tests.support.server import Server
from tests.support.tmux import SCREEN_LIMIT, Tmux

__all__ = ["proxy"]

pytestmark = pytest.mark.slow

SIZE = (120, 40)

KEEPALIVE = 2
"""Seconds between two questions whether the host is there, of which two may stay without an answer."""

START_LIMIT = 240.0
"""Seconds for an experiment to start six jobs, each of them a python, on a machine that many tests share."""

END_LIMIT = 60.0
"""Seconds for jobs to end."""


class Host:
    """A host behind a proxy, and the dashboard of workspaces there.

    Args:
        server: The test server.
        proxy: What is in front of it.
        commands: Whose settings get the workspaces.
        folder: For the files of the terminal.
        login: Who logs in.
    """

    def __init__(
        self, server: Server, proxy: Proxy, commands: Commands, folder: Path, login: str = "alice"
    ) -> None:
        self.server = server
        self.proxy = proxy
        self.login = login
        self._commands = commands
        self._folder = folder

    def add(self, name: str, path: str, *options: str) -> None:
        """Add a workspace there."""
        server = self.server
        flags = [
            f"-F none -p {self.proxy.port} -l {server.account(self.login)}",
            f"-o UserKnownHostsFile={server.known_hosts}",
            f"-o HostKeyAlias=[{server.host}]:{server.port}",
            f"-o ServerAliveInterval={KEEPALIVE} -o ServerAliveCountMax=2",
        ]
        if not options:
            options = (f"-i {server.login(self.login).key} -o IdentitiesOnly=yes",)
        self._commands.add(name, path, host=self.proxy.host, options=[*flags, *options])

    @contextmanager
    def dashboard(self, size: tuple[int, int] = SIZE) -> Iterator[Tmux]:
        """Run the dashboard of all workspaces, until it is ended by q with nothing on stderr."""
        command = (sys.executable, "-m", "xpm_remote")
        environment = self._commands._environment()
        # What the interpreter closes at its end is no matter of the screen.
        environment["PYTHONWARNINGS"] = "error,ignore::ResourceWarning"
        with Tmux(self._folder, command, environment, size) as tmux:
            yield tmux
            tmux.press("1")
            tmux.see("fleet")
            tmux.press("q")
            tmux.see("ended with 0")
            assert tmux.errors == ""

    @property
    def logins(self) -> int:
        """How often the user has logged in, by the server's log."""
        name = f" for {self.server.account(self.login)} "
        return sum("Accepted " in line and name in line for line in self.server.log().splitlines())

    def run(self, command: str) -> str:
        """Run a bash command there, without SSH."""
        return self.server.run(self.login, command, check=False)


@pytest.fixture
def host(server: Server, proxy: Proxy, commands: Commands, tmp_path: Path) -> Host:
    """The host as alice has it."""
    return Host(server, proxy, commands, tmp_path)


@contextmanager
def running(server: Server) -> Iterator[Experiment]:
    """Run a real experiment in which three jobs run for long, one is done and two have failed."""
    path = f"workspaces/screen-{secrets.token_hex(4)}"
    experiment = server.start_experiment(
        path, "real", ok=1, fail=2, long=3, long_seconds=7200, long_steps=7200
    )
    count = (
        f"ls {experiment.workspace}/jobs/*/*/*.{{done,failed,pid}} 2>/dev/null"
        " | sed 's/.*[.]//' | sort | uniq -c | tr -s ' \\n' ' '"
    )
    wait_until(
        lambda: (
            server.run("alice", count, check=False).split()
            == ["1", "done", "2", "failed", "3", "pid"]
        ),
        START_LIMIT,
        "the jobs to run and end",
    )
    try:
        yield experiment
    finally:
        experiment.process.kill()
        server.run("alice", f"pkill -KILL -f {experiment.workspace}/", check=False)


@pytest.fixture
def real(server: Server, host: Host) -> Iterator[Experiment]:
    """A real experiment, whose jobs may be killed."""
    with running(server) as experiment:
        host.add("far", experiment.workspace)
        yield experiment


@pytest.fixture(scope="module")
def shared(server: Server) -> Iterator[Experiment]:
    """A real experiment that is only looked at."""
    with running(server) as experiment:
        yield experiment


def pids(host: Host, experiment: Experiment) -> list[str]:
    """Return the processes of the jobs that run for long."""
    return host.run(f"pgrep -f {experiment.workspace}/jobs/demo_tasks.long/").split()


def test_a_marked_group_is_killed(host: Host, real: Experiment) -> None:
    """A real traceback in two keys; a marked group is killed: a plan with what is refused, outcomes, Activity."""
    other = "demo_tasks.long/1d1939f7"
    name = '"host":"elsewhere"'
    host.run(f"""sed -i 's/"host" *: *"[^"]*"/{name}/' {real.workspace}/jobs/{other}*/long.pid""")
    with host.dashboard() as tmux:
        tmux.see("real", "live", "3 R", "2 F", "1 D")
        tmux.press("3")
        tmux.see("2 failures in 1 cause", "ValueError: bad")
        tmux.press("Enter")
        tmux.see("Traceback (most recent call last)", "ValueError: bad", "stderr")
        tmux.press("2", "b", "task", "Enter", "/", "long", "Enter", "g", "Space")
        tmux.see("3 of 6 jobs", "▾ demo_tasks.long", "3 marked")
        tmux.press("/", "C-u", "done", "Enter", "G", "Space", "x", "k")
        lines = tmux.see(
            "kill 2 jobs on FAR?", "y does it", "$ xpm-remote jobs --workspace far kill"
        )
        refused = {line.split()[1][:24]: line for line in lines if line.startswith("   keep ")}
        assert "its process is on the host e" in refused[other]
        assert "it has no process" in refused["demo_tasks.ok/fbc5818e5a"]
        ended, *_ = set(pids(host, real)) - {pid_of(host, real, other)}
        host.run(f"kill -KILL {ended}")
        wait_until(lambda: ended not in pids(host, real), END_LIMIT, "the end of a job")
        tmux.press("y")
        lines = tmux.see("kill 2 jobs on FAR: all is done")
        assert sum(line.startswith(" killed demo_tasks.long/") for line in lines) == 2
        assert pids(host, real) == [pid_of(host, real, other)]
        tmux.press("4")
        lines = tmux.see("activity", "you: killed demo_tasks.long/", "you: kill was refused: keep")
        assert sum("you: killed" in line for line in lines) == 2


def pid_of(host: Host, experiment: Experiment, job: str) -> str:
    """Return the process of a job."""
    return host.run(f"pgrep -f {experiment.workspace}/jobs/{job}").strip()


LINE = "a line of a log, of which there are many"


@pytest.fixture
def watched(host: Host, shared: Experiment) -> str:
    """The experiment that is only looked at; return the log of a job that runs."""
    host.add("far", shared.workspace)
    logs = host.run(f"ls {shared.workspace}/jobs/demo_tasks.long/*/long.err").split()
    host.run(f"for i in $(seq 2000); do echo $i {LINE}; done > {logs[0]}")
    return logs[0]


def test_a_host_that_is_silent_is_stale(host: Host, watched: str) -> None:
    """A link on which nothing comes any more is stale after the keepalives, with its age, and comes back by itself."""
    del watched
    with host.dashboard() as tmux:
        tmux.see("real", "● live", "3 R")
        host.proxy.stall()
        tmux.see("▲ STALE", "1 stale", "R?●")
        tmux.press("2")
        tmux.see("far STALE <1 min", "R?●")
        tmux.press("x")
        tmux.see("far is STALE")
        host.proxy.restore()
        tmux.press("1", "r")
        tmux.see("● live", "R ●")


def test_a_cut_while_a_log_is_followed(host: Host, watched: str) -> None:
    """A log says that it is stale while the link is cut, and goes on with what came meanwhile."""
    job = watched.split("/")[-2][:8]
    with host.dashboard() as tmux:
        tmux.see("real", "● live", "3 R")
        tmux.press("2", "/", job, "Enter", "l")
        tmux.see(f"2000 {LINE}", "following")
        host.proxy.refuse()
        host.proxy.cut()
        tmux.see("STALE", f"2000 {LINE}")
        host.run(f"echo it goes on >> {watched}")
        host.proxy.restore()
        tmux.press("r")
        lines = tmux.see("it goes on", "following")
        assert "STALE" not in "\n".join(lines)


def test_a_cut_during_an_action(host: Host, real: Experiment) -> None:
    """An action during which the link is cut is finished, and reported, when the link is back."""
    with host.dashboard() as tmux:
        tmux.see("real", "live", "3 R")
        tmux.press("2", "/", "long", "Enter", "*", "x", "k")
        tmux.see("kill 3 jobs on FAR?")
        host.proxy.stall()
        tmux.press("y")
        tmux.see("0 done …")
        host.proxy.cut()
        host.proxy.restore()
        tmux.see("kill 3 jobs on FAR: all is done")
        assert not pids(host, real)


class KeylessFar(Far):
    """A workspace of a user without a key; the settings are written by the host."""

    def settle(self, port: int | None = None, folder: str = "") -> None:
        """Write nothing."""


@pytest.fixture
def kim(server: Server, proxy: Proxy, commands: Commands, tmp_path: Path) -> Host:
    """The host as a user has it who is asked for a password and a code, with a workspace."""
    require_passwords(server)
    far = KeylessFar(commands, server, tmp_path, KIM)
    names = ["u/done1", "u/failed1", "u/failed2"]
    for name in names:
        job = far.made.job(name, "done" if "done" in name else "failed")
        (job / "u.err").write_text(TRACEBACK)
    far.made.run(names, experiment="sweep")
    far.send()
    host = Host(server, proxy, commands, tmp_path, KIM)
    host.add("far", f"{far.place}/ws", "-o PubkeyAuthentication=no")
    return host


def log_in(tmux: Tmux, times: int) -> None:
    """Answer both questions, which are not on the screen of the dashboard but below those that were answered before."""
    for question, answer in (("assword:", PASSWORD), ("Verification code:", code())):
        shown = [""]

        def is_asked(question: str = question, shown: list[str] = shown) -> bool:
            shown[0] = "\n".join(tmux.screen)
            return shown[0].count(question) == times

        wait_until(is_asked, SCREEN_LIMIT, f"{question} for the {times}. time")
        assert "xpm-remote  1 cluster" not in shown[0]
        assert PASSWORD not in shown[0]
        tmux.press(answer, "Enter")
    tmux.see("xpm-remote  1 cluster", "● live", "sweep")


def test_one_login_with_a_code(kim: Host) -> None:
    """A one-time code is asked for before the screen, and once more after a cut; logs and actions ask nothing."""
    before = kim.logins
    with kim.dashboard() as tmux:
        log_in(tmux, 1)
        tmux.press("3")
        tmux.see("2 failures in 1 cause", "BadError: no luck")
        tmux.press("Enter")
        tmux.see("Traceback (most recent call last)")
        assert kim.logins - before == 1
        kim.proxy.cut()
        tmux.see("STALE")
        tmux.press("1")
        tmux.see("LOGIN", "(r log in)")
        tmux.press("j", "k", "r")
        log_in(tmux, 2)
        tmux.press("3", "Enter")
        tmux.see("Traceback (most recent call last)")
        tmux.press("3")
        tmux.see("2 failures in 1 cause")
        tmux.press("x", "c")
        tmux.see("clean 2 jobs on FAR?")
        tmux.press("y")
        tmux.see("all is done", "cleaned u/failed1", "cleaned u/failed2")
        assert kim.logins - before == 2
