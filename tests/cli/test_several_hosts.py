"""Several workspaces on several hosts at a terminal: one question at a time, and one for each host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.commands import Commands
from tests.cli.terminals import Program, Terminal
from tests.cli.test_ssh_monitor_person import QUESTION
from tests.session.observing import LIVE_LIMIT
from tests.session.test_hosts import Site, make_site
from tests.support.fakes import install_fake_monitor
from tests.support.passwords import KIM, PASSWORD, PAT, code, require_passwords
from tests.support.polling import wait_until
from tests.support.proxy import Proxy
from tests.support.server import Server
from tests.support.sshd import LOOPBACK
from xpm_remote.settings.schema import SshEngine

pytestmark = pytest.mark.slow

LIVE = "live: 0 experiments"


class Hosts:
    """Workspaces of users of the test server, each user behind a proxy, as if on a host of their own.

    Args:
        server: The server.
        commands: Whose settings get the workspaces.
        folder: For what belongs to the connections.
    """

    def __init__(self, server: Server, commands: Commands, folder: Path) -> None:
        self._server = server
        self._commands = commands
        self._folder = folder
        self._stack = ExitStack()
        self.proxies: dict[str, Proxy] = {}
        self.paths: dict[str, str] = {}
        self._before = server.log()

    def add(self, name: str, user: str) -> None:
        """Add a workspace of a user."""
        server = self._server
        if user not in self.proxies:
            self.proxies[user] = self._stack.enter_context(Proxy(server.host, server.port))
        proxy = self.proxies[user]
        key = (
            f"-i {server.login(user).key} -o IdentitiesOnly=yes"
            if user == "alice"
            else "-o PubkeyAuthentication=no"
        )
        flags = (
            f"-F none -p {proxy.port} -l {server.account(user)} {key}"
            f" -o UserKnownHostsFile={server.known_hosts}"
            f" -o HostKeyAlias=[{server.host}]:{server.port}"
        )
        path = self.paths[name] = install_fake_monitor(server, {}, user).workspace
        self._commands.add(name, path, host=proxy.host, options=[flags], backend="agent")

    def logins(self, user: str) -> int:
        """Return how often a user has logged in, by the server's log."""
        log = self._server.log()[len(self._before) :]
        return sum(
            "Accepted " in line and f" for {self._server.account(user)} " in line
            for line in log.splitlines()
        )

    def close(self) -> None:
        """End the proxies."""
        self._stack.close()


@pytest.fixture
def hosts(server: Server, commands: Commands, tmp_path: Path) -> Iterator[Hosts]:
    """Hosts without workspaces."""
    require_passwords(server)
    made = Hosts(server, commands, tmp_path)
    yield made
    made.close()


def answer(terminal: Terminal, question: str, text: str) -> None:
    """Answer a question, which is the next one."""
    terminal.child.expect(question)
    terminal.type(text)


@pytest.mark.usefixtures("by_engine")
def test_one_question_for_a_host(commands: Commands, hosts: Hosts) -> None:
    """Of three workspaces on two hosts the one with a password asks once, for both of its own, after a cut too."""
    for name, user in {"p1": PAT, "key": "alice", "p2": PAT}.items():
        hosts.add(name, user)
    with Terminal(commands, "--all", "--events-viewer") as terminal:
        terminal.see("asks for")
        answer(terminal, QUESTION, PASSWORD)
        shown = "".join(terminal.see(LIVE) for _ in range(3))
        assert re.search(QUESTION, shown) is None
        assert (hosts.logins(PAT), hosts.logins("alice")) == (1, 1)
        hosts.proxies[PAT].cut()
        terminal.see("Press Enter to log in: ")
        terminal.type("")
        answer(terminal, QUESTION, PASSWORD)
        shown = "".join(terminal.see(LIVE) for _ in range(2))
        assert re.search(QUESTION, shown) is None
        assert (hosts.logins(PAT), hosts.logins("alice")) == (2, 1)
        terminal.child.sendintr()
        assert terminal.finish()[0] == 130


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A private sshd of this machine, which is another host than the test server."""
    (tmp_path / "site").mkdir()
    yield from make_site(tmp_path / "site", [])


def test_two_hosts(
    server: Server, commands: Commands, hosts: Hosts, site: Site, engine: SshEngine
) -> None:
    """Three workspaces on two hosts, one with a password: one login for each, with a log, a recovery and a cut.

    The password is asked for once at first, and once after the cut.
    """
    for name in ("p1", "p2"):
        hosts.add(name, PAT)
    path = str(site.workspaces["a"].root)
    commands.add("key", path, host=LOOPBACK, options=[site.options], backend="agent")
    log = f"{hosts.paths['p1']}/jobs/u/c333/u.out"
    server.write(PAT, log, "one\n")
    words = ["tests.cli.watching", str(commands.settings), engine.value, "u/c333", "u/b111"]
    words = ["-m", *words, str(site.workspaces["b"].root)]
    with Program(commands, words) as terminal:
        terminal.see("asks for")
        answer(terminal, QUESTION, PASSWORD)
        shown = (
            terminal.see("all are live") + terminal.see("log one") + terminal.see("recovered True")
        )
        assert re.search(QUESTION, shown) is None
        assert (hosts.logins(PAT), site.logins) == (1, 1)
        hosts.proxies[PAT].cut()
        site.proxy.cut()
        terminal.see("the first is lost")
        terminal.see("Press Enter to log in: ")
        server.write(PAT, log, "one\ntwo\n")
        wait_until(lambda: site.logins == 2, LIVE_LIMIT, "the login by key")
        terminal.type("")
        answer(terminal, QUESTION, PASSWORD)
        shown = terminal.see("all are live") + terminal.see("log two")
        status, rest = terminal.finish()
        assert (status, re.search(QUESTION, shown + rest)) == (0, None)
    assert (hosts.logins(PAT), site.logins) == (2, 2)


@pytest.mark.usefixtures("by_engine")
def test_one_question_at_a_time(commands: Commands, hosts: Hosts) -> None:
    """Two hosts that ask do so one after the other, each by name, while a third one is live."""
    for name, user in {"pats": PAT, "keys": "alice", "kims": KIM}.items():
        hosts.add(name, user)
    with Terminal(commands, "--all", "--events-viewer") as terminal:
        for _ in range(2):
            terminal.child.expect(r"(pats|kims) \(127\.0\.0\.1\S*\) asks for")
            name = terminal.child.match.group(1)
            answer(terminal, r"[Pp]assword[^\n]*: ", PASSWORD)
            if name == "kims":
                answer(terminal, r"Verification code: ", code())
        terminal.see(LIVE)
        terminal.child.sendintr()
        assert terminal.finish()[0] == 130


def test_once_asks_in_turn(commands: Commands, hosts: Hosts) -> None:
    """So does a single look."""
    for name, user in {"pats": PAT, "kims": KIM}.items():
        hosts.add(name, user)
    with Terminal(commands, "--all", "--once", "--format", "json") as terminal:
        for _ in range(2):
            terminal.child.expect(r"(pats|kims) \(127\.0\.0\.1\S*\) asks for")
            name = terminal.child.match.group(1)
            answer(terminal, r"[Pp]assword[^\n]*: ", PASSWORD)
            if name == "kims":
                answer(terminal, r"Verification code: ", code())
        status, shown = terminal.finish()
        assert status == 0, shown
        assert shown.count('"exit_code":0') == 2
    assert (hosts.logins(PAT), hosts.logins(KIM)) == (1, 1)


def test_without_a_terminal(commands: Commands, hosts: Hosts) -> None:
    """Where no one can be asked, each host that asks fails, and the others are printed."""
    for name, user in {"pats": PAT, "keys": "alice"}.items():
        hosts.add(name, user)
    done = commands.monitor("--all", "--once", "--format", "json")
    assert [each["exit_code"] for each in done.document] == [13, 0]
    assert done.status == 13
    assert "pats: " in done.error
    assert "no terminal to ask on" in done.error
