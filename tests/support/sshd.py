"""An ``sshd`` of this machine's OpenSSH, started by the tests on a free loopback port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.errors import ServerUnavailableError, one_line
from tests.support.polling import wait_until
from tests.support.server import GREETING_LIMIT, REAP_LIMIT, greets

LOOPBACK = "127.0.0.1"
SSHD_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/sbin")
PRIVILEGE_SEPARATION_FOLDER = Path("/run/sshd")
"""A folder that sshd insists on when root starts it; a system service would have made it."""
PORT_ATTEMPTS = 5
"""A free port can be another's before sshd has it; five times in a row is no coincidence."""

CONFIG = """\
Port {port}
ListenAddress {host}
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
UseDNS no
PrintMotd no
PrintLastLog no
LogLevel VERBOSE
"""
NO_PENALTIES = "PerSourcePenalties no\n"
"""From OpenSSH 9.8 on, a source whose logins fail is refused for a while; many tests fail on purpose."""


@dataclass(frozen=True)
class Sshd:
    """A running sshd.

    Args:
        process: Its process, in the foreground.
        port: Where it listens.
        log: The file of its log.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @classmethod
    def start(cls, program: str, folder: Path, config: str) -> Sshd:
        """Start sshd on a free port and return it when it answers.

        Args:
            program: The path of sshd.
            folder: Where its files are put: ``sshd_config`` and ``sshd.log``.
            config: What its configuration has besides ``CONFIG``.

        Raises:
            ServerUnavailableError: It does not start; the message is one line.
        """
        if os.geteuid() == 0:
            PRIVILEGE_SEPARATION_FOLDER.mkdir(parents=True, exist_ok=True)
        if has_penalties(program):
            config = NO_PENALTIES + config
        path, log = folder / "sshd_config", folder / "sshd.log"
        for _ in range(PORT_ATTEMPTS):
            port = _free_port()
            path.write_text(CONFIG.format(port=port, host=LOOPBACK) + config)
            with log.open("wb") as stream:
                process = subprocess.Popen(
                    [program, "-D", "-e", "-f", str(path)], stdin=subprocess.DEVNULL, stderr=stream
                )
            wait_until(
                lambda: process.poll() is not None or greets(LOOPBACK, port),  # noqa: B023
                GREETING_LIMIT,
                "the greeting of sshd",
            )
            if process.poll() is None:
                return cls(process, port, log)
        raise ServerUnavailableError(f"sshd does not start: {one_line(log.read_text())}")

    def close(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait(REAP_LIMIT)


def find_sshd(environ: Mapping[str, str]) -> str:
    """Return the path of sshd; ``ServerUnavailableError`` when this machine has none."""
    path = os.pathsep.join((environ.get("PATH", ""), *SSHD_FOLDERS))
    program = shutil.which("sshd", path=path)
    if program is None:
        raise ServerUnavailableError("OpenSSH's sshd is not installed: install openssh-server")
    return program


def has_penalties(program: str) -> bool:
    """Return whether an sshd knows the keyword ``PerSourcePenalties``."""
    probe = [program, "-T", "-f", os.devnull, "-o", NO_PENALTIES.strip()]
    done = subprocess.run(probe, capture_output=True, check=False)
    return b"Bad configuration option" not in done.stderr


def _free_port() -> int:
    with socket.socket() as unbound:
        unbound.bind((LOOPBACK, 0))
        port: int = unbound.getsockname()[1]
    return port
