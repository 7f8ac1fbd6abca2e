"""The test server in a container of docker or podman."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.engine import Engine
from tests.support.errors import CommandError, ServerUnavailableError, one_line
from tests.support.guard import Guard
from tests.support.guests import GUESTS
from tests.support.keys import Keys
from tests.support.server import USERS, Server

LOOPBACK = "127.0.0.1"
SSH_PORT = 22
DROPBEAR_PORT = 2222
SLURM_HOST = "node"  # as docker/slurm/slurm.conf has it
NAME_PREFIX = "xpm-remote-test-"
_REMOVE = ("rm", "-f", "-v")
"""With the anonymous volumes; the container's own processes are killed, not asked."""


class ContainerServer(Server):
    """A container of the image in ``docker/``, with keys of its own, on a free loopback port.

    Attributes:
        dropbear: The port of dropbear.
    """

    has_guests = True
    experimaestro = "/opt/experimaestro/bin/experimaestro"
    remote_python = "/opt/experimaestro/bin/python"
    shell_init = "source /opt/modules/init.sh; module load experimaestro"

    def __init__(
        self, engine: Engine, container: str, folder: Path, keys: Keys, guard: Guard
    ) -> None:
        self._engine = engine
        self._container = container
        self._guard = guard
        port = _published(engine, container, SSH_PORT)
        super().__init__(folder, keys, LOOPBACK, port, (LOOPBACK, SSH_PORT))
        self.dropbear = _published(engine, container, DROPBEAR_PORT)
        self.know(LOOPBACK, self.dropbear)

    @classmethod
    def start(cls, engine: Engine, folder: Path, *, with_slurm: bool = False) -> ContainerServer:
        """Start a container, with a SLURM if wanted, and return it when its sshd answers.

        Raises:
            ServerUnavailableError: The engine refuses; one line says what it answers.
        """
        with _alone():
            remove_leftovers(engine)
            image = engine.slurm_image() if with_slurm else engine.image()
        container = f"{NAME_PREFIX}{os.getpid()}-{secrets.token_hex(3)}"
        keys = Keys(folder, (*USERS, *GUESTS))
        publish = [f"-p={LOOPBACK}::{port}" for port in (SSH_PORT, DROPBEAR_PORT)]
        guard = Guard((*engine.command, *_REMOVE, container))
        try:
            name = ("--hostname", SLURM_HOST) if with_slurm else ()
            engine.call("create", "--name", container, *name, *publish, *engine.run_args, image)
            engine.call("cp", f"{_mounted_keys(keys)}/.", f"{container}:/keys")
            engine.call("start", container)
            server = cls(engine, container, folder, keys, guard)
            server._wait_for_greeting()
        except (CommandError, TimeoutError) as error:
            guard.dismiss()
            raise ServerUnavailableError(
                f"the test server does not start: {one_line(str(error))} "
                f"{_last_words(engine, container)}"
            ) from error
        return server

    def account(self, name: str) -> str:
        """Return ``name``: the container has the real accounts."""
        return name

    def home(self, name: str) -> str:
        """Return the absolute path of the home folder of ``name``."""
        return f"/home/{name}"

    def local_argv(self, name: str, command: str) -> list[str]:
        """Return the engine's ``exec`` of a bash command as ``name``."""
        home = self.home(name)
        options = ["-i", "-u", name, "-w", home, "-e", f"HOME={home}"]
        return [*self._engine.command, "exec", *options, self._container, "bash", "-c", command]

    def run_as_root(self, command: str) -> str:
        """Run a bash command as root; return its output."""
        return self._engine.call("exec", self._container, "bash", "-c", command)

    def log(self) -> str:
        """Return all that sshd has logged."""
        return self._engine.call("logs", self._container)

    def close(self) -> None:
        """Remove the container and everything that runs in it."""
        self._close_shells()
        _remove(self._engine, self._container)
        self._guard.dismiss()
        self._reap_spawned()


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other worker removes leftovers or builds the image."""
    path = Path(tempfile.gettempdir()) / f"{NAME_PREFIX}{os.getuid()}.lock"
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _published(engine: Engine, container: str, port: int) -> int:
    # "127.0.0.1:40123"; docker may add a line for another address family.
    published = engine.call("port", container, str(port)).split()[0]
    return int(published.rpartition(":")[2])


def _mounted_keys(keys: Keys) -> Path:
    """Arrange the keys as ``docker/entrypoint.sh`` needs them; return the folder."""
    folder = keys.folder / "for-container"
    (folder / "authorized_keys").mkdir(parents=True)
    shutil.copy(keys.host_key, folder / "ssh_host_ed25519_key")
    (folder / "user_ca.pub").write_text(keys.public(keys.ca_key) + "\n")
    for name in (*USERS, *GUESTS):
        line = keys.public(keys.private(name)) + "\n"
        (folder / "authorized_keys" / name).write_text(line)
    return folder


def remove_leftovers(engine: Engine) -> None:
    """Remove containers whose test session has ended without removing them."""
    listed = engine.call("ps", "-a", "--filter", f"name={NAME_PREFIX}", "--format", "{{.Names}}")
    for container in listed.split():
        owner = container.removeprefix(NAME_PREFIX).partition("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            _remove(engine, container)


def _last_words(engine: Engine, container: str) -> str:
    """Remove a container that failed, if it exists at all; return the end of its log."""
    words = ""
    with suppress(CommandError):
        words = one_line(engine.call("logs", container))
        _remove(engine, container)
    return words


def _remove(engine: Engine, container: str) -> None:
    engine.call(*_REMOVE, container)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
