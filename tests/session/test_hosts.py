"""One login per host, counted in the log of a real sshd: with both engines, after a cut, and where it has no room."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from tests.link.asking import PASSWORD, Asking
from tests.session.observing import LIVE_LIMIT, Observed
from tests.support.errors import ServerUnavailableError
from tests.support.polling import wait_until
from tests.support.proxy import Proxy
from tests.support.sshd import LOOPBACK, Sshd, find_sshd
from tests.workspace.small import SmallWorkspace
from xpm_remote.errors import StoppedBySignal
from xpm_remote.jobs.opening import open_in_loop
from xpm_remote.jobs.remote import RemoteJobs
from xpm_remote.link import host
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.prompts import Unattended
from xpm_remote.link.remote.command import RemoteExperimaestro
from xpm_remote.session.fleet import Fleet, Login
from xpm_remote.session.hosts import Hosts
from xpm_remote.session.monitor import Monitor
from xpm_remote.session.state import Phase
from xpm_remote.session.target import Target
from xpm_remote.settings.schema import Backend, SshEngine
from xpm_remote.workspace.folders.archiving import no_progress
from xpm_remote.workspace.layout import JobId

pytestmark = pytest.mark.slow

LIMIT = 60.0
"""Seconds for what takes a moment, on a machine that runs other tests, too."""


class Site:
    """A host with two workspaces, reached through a proxy.

    Args:
        folder: Its files.
        sshd: Its server.
        proxy: The way there.
    """

    def __init__(self, folder: Path, sshd: Sshd, proxy: Proxy) -> None:
        self._folder = folder
        self._sshd = sshd
        self.proxy = proxy
        self.workspaces = {name: SmallWorkspace(folder / name) for name in "ab"}
        for name, made in self.workspaces.items():
            made.job(f"u/{name}111")
            made.run([f"u/{name}111"])

    @property
    def logins(self) -> int:
        """How often someone has logged in."""
        return self._sshd.log.read_text().count("Accepted publickey")

    @property
    def options(self) -> str:
        """The options that lead there."""
        return (
            f"-F none -p {self.proxy.port} -i {self._folder / 'key'} -o IdentitiesOnly=yes"
            f" -o UserKnownHostsFile={self._folder / 'known'} -o HostKeyAlias=site"
            " -o GlobalKnownHostsFile=none -o IdentityAgent=none"
        )

    def target(self, name: str, engine: SshEngine) -> Target:
        """Return one of the workspaces."""
        return Target(
            name=LOOPBACK,
            id=name,
            workspace=str(self.workspaces[name].root),
            options=parse_ssh_options(LOOPBACK, [self.options], engine),
            remote=RemoteExperimaestro(),
            engine=engine,
            backend=Backend.AGENT,
        )

    def agent_of(self, name: str) -> int:
        """Return the process of the agent of a workspace."""
        root = os.fsencode(self.workspaces[name].root)
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"python" in words[0] and root in words:
                return int(process.name)
        raise AssertionError(name)


def make_site(folder: Path, proxies: list[Proxy], config: str = "") -> Iterator[Site]:
    """Run a host until the generator is closed."""
    for name in ("key", "host_key"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(make, check=True)
    (folder / "authorized_keys").write_text((folder / "key.pub").read_text())
    (folder / "known").write_text(f"site {(folder / 'host_key.pub').read_text()}")
    config += f"HostKey {folder / 'host_key'}\nAuthorizedKeysFile {folder / 'authorized_keys'}\n"
    try:
        sshd = Sshd.start(find_sshd(os.environ), folder, config)
    except ServerUnavailableError as error:
        pytest.skip(str(error))
    try:
        with Proxy(LOOPBACK, sshd.port) as proxy:
            proxies.append(proxy)
            yield Site(folder, sshd, proxy)
    finally:
        sshd.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A host."""
    yield from make_site(tmp_path, [])


@pytest.fixture
def narrow_site(tmp_path: Path) -> Iterator[Site]:
    """A host that runs one command on a connection."""
    yield from make_site(tmp_path, [], "MaxSessions 1\n")


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory for sockets: the path of a test's own may be too long."""
    with TemporaryDirectory(prefix="run") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


class Watched:
    """A fleet that runs.

    Args:
        fleet: The fleet.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.observed = {name: Observed(each) for name, each in fleet.members.items()}

    async def live(self) -> None:
        """Wait until all are live."""
        for each in self.observed.values():
            await each.wait_for(lambda each=each: each.phase is Phase.LIVE, "the link")  # type: ignore[misc]

    async def not_live(self) -> None:
        """Wait until none is live."""
        for each in self.observed.values():
            await each.wait_for(lambda each=each: each.phase is not Phase.LIVE, "the loss")  # type: ignore[misc]


@asynccontextmanager
async def running(site: Site, engine: SshEngine) -> AsyncIterator[Watched]:
    """Watch both workspaces until the context ends."""
    watched = Watched(Fleet([site.target(name, engine) for name in "ab"]))
    task = asyncio.create_task(watched.fleet.run())
    try:
        await watched.live()
        yield watched
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def jobs_of(
    site: Site, watched: Watched, name: str, engine: SshEngine
) -> AsyncIterator[RemoteJobs]:
    """Open the jobs of a workspace on the login of the fleet."""

    async def no_person(asked: str) -> bool:
        raise AssertionError(asked)

    folders = [site.workspaces["b"].as_folder("backup")]
    async with open_in_loop(
        site.target(name, engine),
        watched.fleet.hosts,
        folders=folders,
        tell=print,
        call_person=no_person,
    ) as jobs:
        yield jobs


async def test_one_login(site: Site, engine: SshEngine) -> None:
    """Two workspaces, a log that is followed and a recovery share one login; after a cut there is one more."""
    log = site.workspaces["a"].job("u/c333", marker=None) / "u.out"
    log.write_text("one\n")
    async with running(site, engine) as watched:
        assert site.logins == 1
        async with (
            jobs_of(site, watched, "a", engine) as jobs,
            jobs_of(site, watched, "a", engine) as others,
            aclosing(jobs.follow_logs([JobId("u", "c333")], "out", 5, warn=print)) as pieces,
        ):
            assert await asyncio.wait_for(anext(pieces), LIMIT) == (JobId("u", "c333"), "one\n")
            done = [
                each
                async for each in others.recover(
                    [JobId("u", "b111")], incomplete=False, progress=no_progress
                )
            ]
            assert [each.is_there for each in done] == [True]
            assert site.logins == 1
            site.proxy.cut()
            await watched.not_live()
            log.write_text("one\ntwo\n")
            assert await asyncio.wait_for(anext(pieces), LIMIT) == (JobId("u", "c333"), "two\n")
            await watched.live()
            assert site.logins == 2
            assert site.proxy.open_connections == 1
    wait_until(lambda: site.proxy.open_connections == 0, LIMIT, "the end of the connection")


async def test_one_agent_dies(site: Site, engine: SshEngine) -> None:
    """Of two agents on a connection one dies: it is started again there, and the other one goes on."""
    async with running(site, engine) as watched:
        first, second = watched.observed["a"], watched.fleet.members["b"]
        phases: list[Phase] = []
        second.subscribe(lambda _: phases.append(second.picture.link.phase))
        agent = site.agent_of("a")
        os.kill(agent, signal.SIGKILL)
        await first.wait_for(lambda: first.phase is not Phase.LIVE, "the loss")
        await watched.live()
        assert site.agent_of("a") != agent
        assert site.logins == 1
        assert set(phases) <= {Phase.LIVE}


async def test_alone(site: Site, engine: SshEngine) -> None:
    """The only agent of a host that dies is started again on the connection."""
    watched = Watched(Fleet([site.target("a", engine)]))
    task = asyncio.create_task(watched.fleet.run())
    await watched.live()
    os.kill(site.agent_of("a"), signal.SIGKILL)
    await watched.not_live()
    await watched.live()
    assert site.logins == 1
    task.cancel()
    await asyncio.wait({task})


async def test_one_session(
    narrow_site: Site, engine: SshEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """A host that runs one command on a connection is logged in to for each, by key, and that is told."""
    site = narrow_site
    async with running(site, engine) as watched:
        assert site.logins == 2
        async with jobs_of(site, watched, "a", engine) as jobs:
            assert len((await jobs.references())[0]) == 1
            assert site.logins == 3
    assert caplog.text.count("runs no further command on one login (MaxSessions)") == 1


async def test_one_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workspaces of a host that asks for a password: one question, and one more after a cut."""
    asked: list[str] = []
    calls: list[str] = []

    class Person(Unattended):
        obstacle = None

        async def ask(self, question: str, *, echo: bool) -> str:
            asked.append(question)
            return PASSWORD

    async def call(login: Login) -> bool:
        calls.append(login.asked)
        return True

    monkeypatch.setattr(host, "TerminalPrompter", Person)
    with Asking(tmp_path, "password", runs=True) as asking:
        asking.know()
        options = parse_ssh_options(f"me@{LOOPBACK}", asking.options)
        targets = [
            Target(
                LOOPBACK,
                str(SmallWorkspace(tmp_path / name).root),
                options,
                RemoteExperimaestro(),
                backend=Backend.AGENT,
                id=name,
            )
            for name in "ab"
        ]
        watched = Watched(Fleet(targets))
        task = asyncio.create_task(watched.fleet.run(call))
        for number in (1, 2):
            await watched.live()
            assert (len(asked), len(calls)) == (number, number)
            # Each of them after one that could not ask.
            assert len(asking.connections) == 2 * number
            if number == 1:
                asking.cut()
                await watched.not_live()
        task.cancel()
        await asyncio.wait({task})


def test_master_of_the_user(site: Site, runtime: Path) -> None:
    """A ControlMaster of the user's that lives is used, and goes on."""
    control = ["-o", f"ControlPath={runtime / 'mine'}", *site.options.split(), LOOPBACK]
    subprocess.run(["ssh", "-M", "-f", "-N", *control], stderr=subprocess.DEVNULL, check=True)
    try:
        found = site.target("a", SshEngine.OPENSSH)
        shared = [f"{site.options} -o ControlPath={runtime / 'mine'}"]
        options = parse_ssh_options(LOOPBACK, shared, SshEngine.OPENSSH)
        monitor = Monitor(replace(found, options=options))
        asyncio.run(monitor.snapshot())
        assert site.logins == 1
        assert [each.name for each in runtime.iterdir()] == ["mine"]
    finally:
        done = subprocess.run(["ssh", "-O", "exit", *control], capture_output=True, check=False)
    assert done.returncode == 0


async def jobs_log(site: Site, engine: SshEngine, folder: Path, *flags: str) -> Process:
    """Start ``jobs log`` for a job of a workspace, as another program."""
    ssh = {"host": LOOPBACK, "options": [site.options], "engine": engine.value}
    workspace = {"id": "a", "path": str(site.workspaces["a"].root), "ssh": ssh}
    settings = folder / "settings.yaml"
    settings.write_text(yaml.safe_dump({"workspaces": [workspace]}))
    words = ["-m", "xpm_remote", "jobs", "--workspace", "a", "log", "u/c333", "--std", *flags]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, *words),
        stdin=DEVNULL,
        stdout=PIPE,
        env={**os.environ, "XPM_REMOTE_SETTINGS": str(settings)},
    )


async def test_command_beside_a_dashboard(site: Site, engine: SshEngine, tmp_path: Path) -> None:
    """A command about jobs uses the connection of a dashboard by the program ssh, and logs in when that has ended.

    The library's connection cannot be used by another program.
    """
    log = site.workspaces["a"].job("u/c333", marker=None) / "u.out"
    log.write_text("one\n")
    own = 0 if engine is SshEngine.OPENSSH else 1
    async with running(site, engine):
        assert site.logins == 1
        done = await jobs_log(site, engine, tmp_path)
        assert (await asyncio.wait_for(done.communicate(), LIMIT))[0] == b"one\n"
        assert site.logins == 1 + own
        following = await jobs_log(site, engine, tmp_path, "--follow")
        assert following.stdout is not None
        assert await asyncio.wait_for(following.stdout.readline(), LIMIT) == b"one\n"
        assert site.logins == 1 + 2 * own
    log.write_text("one\ntwo\n")
    assert await asyncio.wait_for(following.stdout.readline(), LIMIT) == b"two\n"
    assert site.logins == 1 + max(2 * own, 1)
    following.terminate()
    await asyncio.wait_for(following.wait(), LIMIT)


async def test_command_without_room(narrow_site: Site, tmp_path: Path) -> None:
    """Where the host runs one command on a connection, a command beside a dashboard logs in by itself."""
    site = narrow_site
    log = site.workspaces["a"].job("u/c333", marker=None) / "u.out"
    log.write_text("one\n")
    async with running(site, SshEngine.OPENSSH):
        assert site.logins == 2
        done = await jobs_log(site, SshEngine.OPENSSH, tmp_path)
        assert (await asyncio.wait_for(done.communicate(), LIMIT))[0] == b"one\n"
        assert site.logins == 3


def test_master_of_the_user_without_room(
    narrow_site: Site, runtime: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the user's ControlMaster has no room for another command, there is another login, and that is told."""
    site = narrow_site
    control = ["-o", f"ControlPath={runtime / 'mine'}", *site.options.split(), LOOPBACK]
    master = subprocess.Popen(["ssh", "-M", *control, "cat"], stdin=PIPE, stderr=DEVNULL)
    try:
        wait_until((runtime / "mine").exists, LIMIT, "the ControlMaster")
        shared = [f"{site.options} -o ControlPath={runtime / 'mine'}"]
        options = parse_ssh_options(LOOPBACK, shared, SshEngine.OPENSSH)
        monitor = Monitor(replace(site.target("a", SshEngine.OPENSSH), options=options))
        asyncio.run(monitor.snapshot())
        assert (site.logins, master.poll()) == (2, None)
    finally:
        master.kill()
        master.communicate()
    assert caplog.text.count("on the connection that is shared (MaxSessions)") == 1


def test_socket(site: Site, runtime: Path) -> None:
    """The socket of ssh is in a directory of the user's alone, which is gone after SIGTERM."""
    command = [sys.executable, "-m", "xpm_remote", "experiments", "ssh-monitor", LOOPBACK]
    command += [str(site.workspaces["a"].root), "--ssh-engine", "openssh", "--backend", "agent"]
    command += ["--ssh-option", site.options, "--events-viewer"]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: any(runtime.glob("*/s")), LIVE_LIMIT, "the socket")
        (folder,) = runtime.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "s").is_socket()
        program.terminate()
        assert program.wait(LIVE_LIMIT) == StoppedBySignal(signal.SIGTERM).exit_code
    finally:
        program.kill()
        program.communicate()
    assert list(runtime.iterdir()) == []


def test_which_targets_share(site: Site, engine: SshEngine) -> None:
    """All workspaces with the same host and options share a link; another user or engine has one of its own."""
    hosts = Hosts()
    link = hosts.link(site.target("a", engine))
    assert hosts.link(site.target("b", engine)) is link
    options = parse_ssh_options(LOOPBACK, [f"-l somebody {site.options}"], engine)
    assert hosts.link(replace(site.target("a", engine), options=options)) is not link
    assert hosts.link(replace(site.target("a", engine), engine=SshEngine.AUTO)) is not link
