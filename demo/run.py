"""The demo: real jobs of the real experimaestro in three workspaces, two of them behind real SSH servers.

    make demo                                           the dashboard, until q
    make demo </dev/null                                the changes as lines, until the experiments on the servers end
    make demo ARGS='--duration 20'                      for 20 seconds
    make demo ARGS='-- --once --format json'            all arguments after -- are passed to ssh-monitor
    make svg                                            the pictures in the README

Everything lives in a temporary folder, listens on loopback only, and is gone at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import yaml

HERE = Path(__file__).resolve().parent
DEFAULT_VENV = HERE.parent / ".venvs" / "experimaestro"
LOOPBACK = "127.0.0.1"

SERVERS = {"jz": "digits", "lip6": "reranking"}
"""The experiments of the workspaces behind the SSH servers, by their ids."""
HERE_TOO = {"laptop": "annotating"}
"""Those of the workspace on this machine."""

USER = "me"
"""Who logs in: the servers take any name."""

START_LIMIT = 60.0
"""Seconds for the SSH server and the experiment to start: imports from a cold disk."""

END_LIMIT = 10.0
"""Seconds for each of them to end what it started after its stdin was closed; then it is killed."""

INTERRUPT_LIMIT = 10.0
"""Seconds for the monitor to end after Ctrl-C, which the terminal has sent to it too; then it is signalled again."""

LOG_LINES = 15
"""Lines of a log that an error shows."""

INTERRUPTED = (128 + signal.SIGINT, -signal.SIGINT)
"""The exit status of an interrupted monitor."""


class DemoError(Exception):
    """The demo cannot continue; the message is for the user."""


@dataclass(frozen=True)
class Stage:
    """The files of the demo.

    Args:
        folder: The temporary folder.
        venv: The venv with the real experimaestro.
    """

    folder: Path
    venv: Path

    def home(self, name: str) -> Path:
        """Return the home directory on a simulated cluster, or that of this machine."""
        return self.folder / name

    def workspace(self, name: str) -> Path:
        """Return the workspace there."""
        return self.home(name) / "experiments"

    @property
    def settings(self) -> Path:
        """The user's settings file."""
        return self.folder / "settings.yaml"

    @property
    def key(self) -> Path:
        """The user's private key."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The user's known_hosts file."""
        return self.folder / "known_hosts"

    @property
    def host_key(self) -> Path:
        """The clusters' private host key."""
        return self.folder / "host_key"

    @property
    def environ(self) -> dict[str, str]:
        """The user's environment, in which nothing of the user's own is read or written."""
        own = {"XPM_REMOTE_SETTINGS": self.settings, "XDG_STATE_HOME": self.folder / "state"}
        return {**os.environ, **{name: str(path) for name, path in own.items()}}

    def prepare(self) -> None:
        """Make folders and keys."""
        for name in (*SERVERS, *HERE_TOO):
            self.home(name).mkdir()
        for path in (self.key, self.host_key):
            key = asyncssh.generate_private_key("ssh-ed25519")
            path.touch(mode=0o600)
            key.write_private_key(str(path))
            key.write_public_key(f"{path}.pub")

    def write_settings(self, ports: Mapping[str, int]) -> None:
        """Write the settings that lead to the SSH servers, and the host key that they have."""
        host_key = Path(f"{self.host_key}.pub").read_text()
        known = [f"[{LOOPBACK}]:{port} {host_key}" for port in ports.values()]
        self.known_hosts.write_text("".join(known))
        workspaces: list[dict[str, object]] = []
        for name, port in ports.items():
            options = [
                f"-p {port} -o HostName={LOOPBACK}",
                f"-i {shlex.quote(str(self.key))}",
                f"-o UserKnownHostsFile={shlex.quote(str(self.known_hosts))}",
                # The demo does not depend on the user's own files and agent.
                "-F none -o IdentityAgent=none",
            ]
            ssh = {"host": f"{USER}@{name}", "options": options}
            workspaces.append({"id": name, "path": "~/experiments", "ssh": ssh})
        workspaces += [{"id": name, "path": str(self.workspace(name))} for name in HERE_TOO]
        self.settings.write_text(yaml.safe_dump({"workspaces": workspaces}, sort_keys=False))


@contextlib.asynccontextmanager
async def running(
    name: str, argv: Sequence[str | Path], stage: Stage, host: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program of a cluster that ends with its stdin; its log is ``name.log``."""
    with (stage.folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env={**os.environ, "HOME": str(stage.home(host))},
            # Ctrl-C in the terminal is for the monitor.
            start_new_session=True,
        )
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), END_LIMIT)
        except (TimeoutError, asyncio.TimeoutError):
            process.kill()
            await process.wait()


async def first_line(name: str, process: asyncio.subprocess.Process, stage: Stage) -> str:
    """Return the line by which a program reports that it is ready.

    Raises:
        DemoError: It ended, or took too long.
    """
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_LIMIT)
    except (TimeoutError, asyncio.TimeoutError):
        raise DemoError(f"the {name} does not start within {START_LIMIT:g} s") from None
    if not line:
        lines = (stage.folder / f"{name}.log").read_text(errors="replace").splitlines()
        raise DemoError("\n".join([f"the {name} does not start:", *lines[-LOG_LINES:]]))
    return line.decode().strip()


@contextlib.asynccontextmanager
async def playing(venv: Path, pace: float) -> AsyncIterator[tuple[Stage, asyncio.Task[None]]]:
    """Run SSH servers and experiments, and end them and remove all traces afterwards.

    Yields:
        The stage, and a task that ends with the experiments on the servers.
    """
    if not (venv / "bin" / "experimaestro").exists():
        raise DemoError(f"there is no experimaestro in {venv}: `make demo` installs it")
    with tempfile.TemporaryDirectory(prefix="xpm-remote-demo-") as folder:
        stage = Stage(Path(folder), venv)
        stage.prepare()
        async with contextlib.AsyncExitStack() as stack:
            jobs, sshds = {}, {}
            for host, which in {**SERVERS, **HERE_TOO}.items():
                argv: list[str | Path] = [venv / "bin" / "python", HERE / "experiment.py", which]
                argv += [stage.workspace(host), "--pace", str(pace)]
                name = f"experiment of {host}"
                jobs[host] = await stack.enter_async_context(running(name, argv, stage, host))
            for host in SERVERS:
                argv = [sys.executable, HERE / "ssh_server.py", "--host-key", stage.host_key]
                argv += ["--authorized-keys", f"{stage.key}.pub"]
                name = f"SSH server of {host}"
                sshds[host] = await stack.enter_async_context(running(name, argv, stage, host))
            ports = {
                host: int(await first_line(f"SSH server of {host}", sshd, stage))
                for host, sshd in sshds.items()
            }
            stage.write_settings(ports)
            for host, process in jobs.items():
                await first_line(f"experiment of {host}", process, stage)
            ended = asyncio.create_task(_end(jobs[host] for host in SERVERS), name="experiments")
            try:
                yield stage, ended
            finally:
                ended.cancel()
                await asyncio.wait({ended})


async def _end(experiments: Iterable[asyncio.subprocess.Process]) -> None:
    """Wait until experiments have ended: they close their stdout then."""
    for process in experiments:
        assert process.stdout is not None
        await process.stdout.read()


async def watch(
    command: Sequence[str | Path], environ: Mapping[str, str], stopped: asyncio.Future[int]
) -> int:
    """Run a command in the foreground until it ends or is to be stopped; return its status.

    Args:
        command: What to run.
        environ: Its environment.
        stopped: Gets the signal by which it is to be stopped.
    """
    process = await asyncio.create_subprocess_exec(*command, env=environ)
    ended = asyncio.create_task(process.wait(), name="monitor")
    await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if ended.done():
        return ended.result()
    if stopped.result() == signal.SIGINT:
        # Ctrl-C: the terminal has signalled it as well, and a second time would cut its last output short.
        await asyncio.wait({ended}, timeout=INTERRUPT_LIMIT)
    for number in (signal.SIGINT, signal.SIGKILL):
        if not ended.done():
            process.send_signal(number)
            await asyncio.wait({ended}, timeout=END_LIMIT)
    return await ended


async def report(stage: Stage, ended: asyncio.Task[None], stopped: asyncio.Future[int]) -> int:
    """Show the changes until the experiments end, and then a picture: without a person the demo ends by itself."""
    over: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(_: object) -> None:
        if not over.done():
            over.set_result(signal.SIGTERM)

    ended.add_done_callback(end)
    stopped.add_done_callback(end)
    status = await watch(_command(stage, ["--events-viewer"]), stage.environ, over)
    if stopped.done() or status not in INTERRUPTED:
        return status
    return await watch(_command(stage, ["--once"]), stage.environ, stopped)


async def perform(
    given: argparse.Namespace, stage: Stage, ended: asyncio.Task[None], stopped: asyncio.Future[int]
) -> int:
    """Run what was asked for in the foreground; return its status."""
    if given.svg is not None:
        return await watch(_picture(given.svg), stage.environ, stopped)
    is_watched = sys.stdin.isatty() and sys.stdout.isatty()
    if given.arguments or given.duration is not None or is_watched:
        return await watch(_command(stage, given.arguments), stage.environ, stopped)
    return await report(stage, ended, stopped)


async def play(given: argparse.Namespace) -> int:
    """Prepare, watch, clean up; return the exit status."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[int] = loop.create_future()

    def stop(number: int) -> None:
        if not stopped.done():
            stopped.set_result(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)

    ready = asyncio.Event()

    async def show() -> int:
        async with playing(given.venv.absolute(), given.pace) as (stage, ended):
            ready.set()
            if given.duration is not None:
                loop.call_later(given.duration, stop, signal.SIGTERM)
            return await perform(given, stage, ended, stopped)

    showing = asyncio.create_task(show(), name="show")
    await asyncio.wait({showing, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not showing.done() and not ready.is_set():
        showing.cancel()
        await asyncio.wait({showing})
        return INTERRUPTED[0]
    return await showing


def _picture(folder: Path) -> list[str | Path]:
    """Return the command that writes the pictures."""
    return [sys.executable, HERE / "picture.py", folder.absolute()]


def _command(stage: Stage, arguments: Sequence[str]) -> list[str | Path]:
    """Print and return the command that runs in the foreground."""
    is_named = any(word.startswith("--workspace") for word in arguments)
    which = () if is_named else ("--all",)
    words = ["experiments", "ssh-monitor", *which, *arguments]
    print(f"{stage.settings}:\n\n{stage.settings.read_text()}", file=sys.stderr)
    print(f"$ experimaestro {shlex.join(words)}\n", file=sys.stderr)
    return [Path(sys.executable).with_name("experimaestro"), *words]


def main() -> int:
    """Read the arguments and play; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--duration", type=float, metavar="S", help="end by itself after S seconds")
    parser.add_argument(
        "--pace", type=float, default=1.0, metavar="N", help="let the jobs work N times faster"
    )
    parser.add_argument(
        "--svg", type=Path, metavar="DIR", help="write pictures into a folder instead"
    )
    parser.add_argument(
        "--venv", type=Path, default=DEFAULT_VENV, help="where the real experimaestro is installed"
    )
    parser.add_argument("arguments", nargs="*", help="after --: arguments for ssh-monitor")
    given = parser.parse_args()
    try:
        status = asyncio.run(play(given))
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if status in INTERRUPTED else status


if __name__ == "__main__":
    sys.exit(main())
