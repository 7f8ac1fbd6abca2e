"""The test server without a container: a private ``sshd`` on loopback, run by the user who runs the tests.

For Linux: what the tests started is found through ``/proc``.
"""

from __future__ import annotations

import getpass
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.errors import ServerUnavailableError
from tests.support.experiments import SCRIPTS
from tests.support.guard import Guard
from tests.support.homes import Homes
from tests.support.installation import Installation
from tests.support.keys import Keys
from tests.support.polling import wait_until
from tests.support.server import REAP_LIMIT, USERS, Server
from tests.support.sshd import LOOPBACK, Sshd, find_sshd

SSHD_CONFIG = """\
HostKey {keys}/ssh_host_ed25519_key
AuthorizedKeysFile {folder}/authorized_keys
AuthorizedPrincipalsFile {folder}/principals
TrustedUserCAKeys {keys}/user_ca.pub
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitUserEnvironment yes
"""


class LocalServer(Server):
    """An ``sshd`` of this machine's OpenSSH, with the real experimaestro in a venv.

    Args:
        folder: The session's files; sshd's log is ``sshd.log`` there.
        keys: The session's keys.
        installation: The real experimaestro.
        homes: The users.
        sshd: The running sshd.
    """

    def __init__(
        self, folder: Path, keys: Keys, installation: Installation, homes: Homes, sshd: Sshd
    ) -> None:
        super().__init__(folder, keys, LOOPBACK, sshd.port, (LOOPBACK, sshd.port))
        self._homes = homes
        self._sshd = sshd
        script = str(SCRIPTS / "processes.py")
        ends = [(sys.executable, script, "--kill", self.home(name)) for name in USERS]
        self._guard = Guard(("kill", "-KILL", str(sshd.process.pid)), *ends)
        self.experimaestro = str(installation.experimaestro)
        self.remote_python = str(installation.python)
        self.shell_init = f"source {shlex.quote(str(homes.modules))}; module load experimaestro"

    @classmethod
    def start(cls, folder: Path, environ: Mapping[str, str]) -> LocalServer:
        """Install experimaestro unless it is in the cache, start sshd, return when it answers.

        Raises:
            ServerUnavailableError: This machine has no sshd, or it does not start; in one line.
        """
        if not Path("/proc/self/environ").exists():
            raise ServerUnavailableError(
                "XPM_TEST_SSH=local needs Linux's /proc; unset it to use docker or podman"
            )
        program = find_sshd(environ)
        installation = Installation.make(environ)
        keys, homes = Keys(folder, USERS), Homes(folder / "root", installation, USERS)
        options = {name: homes.key_options(name) for name in USERS}
        (folder / "authorized_keys").write_text(
            "".join(f"{options[name]} {keys.public(keys.private(name))}\n" for name in USERS)
        )
        (folder / "principals").write_text("".join(f"{options[name]} {name}\n" for name in USERS))
        sshd = Sshd.start(program, folder, SSHD_CONFIG.format(keys=keys.folder, folder=folder))
        return cls(folder, keys, installation, homes, sshd)

    def account(self, name: str) -> str:
        """Return the current user's name, for any ``name``."""
        return getpass.getuser()

    def home(self, name: str) -> str:
        """Return the absolute path of the home folder of ``name``."""
        return str(self._homes.home(name))

    def local_argv(self, name: str, command: str) -> list[str]:
        """Return a local bash command with only the environment of ``name``."""
        variables = [f"{key}={value}" for key, value in self._homes.environment(name).items()]
        enter = 'cd "$HOME" && exec bash -c "$1"'
        return ["env", "-i", *variables, "bash", "-c", enter, "bash", command]

    def log(self) -> str:
        """Return all that sshd has logged."""
        return self._sshd.log.read_text(errors="replace")

    def close(self) -> None:
        """Stop sshd and all processes that use one of the homes."""
        self._sshd.close()
        self._close_shells()
        for name in USERS:
            wait_until(lambda: self._empty(name), REAP_LIMIT, f"the end of what {name} started")  # noqa: B023
        self._reap_spawned()
        self._guard.dismiss()

    def _empty(self, name: str) -> bool:
        script = (SCRIPTS / "processes.py").read_text()
        command = f"exec python3 - --kill {shlex.quote(self.home(name))}"
        # Not by a shell that remains: it would be one of them.
        argv = self.local_argv(name, command)
        rows = subprocess.run(argv, input=script, capture_output=True, text=True, check=True).stdout
        return not json.loads(rows)
