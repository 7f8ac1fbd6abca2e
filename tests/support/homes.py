"""The users of the local test server: homes of their own for one and the same account.

Each key carries a forced command, a script that gives the session its user's home, PATH and login
output before it runs the requested command. So the key determines the user.
"""

from __future__ import annotations

import getpass
import shlex
import shutil
import sys
from pathlib import Path

from tests.support.engine import DOCKER_FOLDER
from tests.support.installation import Installation

TIME_ZONE = "NST3:30NDT,M3.2.0,M11.1.0"
"""America/St_Johns, as in the container, for a machine that has no time zones installed."""
WITH_UV = ("alice", "noisy")

# Not `.bashrc`: under sshd some builds of bash read that by themselves, and others do not.
LOGIN_FILE = ".login-file"
LOGIN_SCRIPT = """\
#!/usr/bin/env bash
{environment}
cd "$HOME"
if [ -f {login_file} ]; then . ./{login_file}; fi
if [ -z "${{SSH_ORIGINAL_COMMAND:-}}" ]; then exec bash --norc; fi
exec bash -c "$SSH_ORIGINAL_COMMAND"
"""


class Homes:
    """The users' homes below one folder, made at once.

    Args:
        root: A folder that does not exist yet.
        installation: The programs that the users have.
        names: The users.
    """

    def __init__(self, root: Path, installation: Installation, names: tuple[str, ...]) -> None:
        self._root = root
        self._installation = installation
        self.modules = root / "modules" / "init.sh"
        self._make_programs()
        for name in names:
            self._make_home(name)

    def home(self, name: str) -> Path:
        """Return the home of ``name``."""
        return self._root / "home" / name

    def environment(self, name: str) -> dict[str, str]:
        """Return all the variables with which a session of ``name`` begins."""
        return {
            "HOME": str(self.home(name)),
            "USER": getpass.getuser(),
            "PATH": f"{self._root / 'bin'}:/usr/bin:/bin",
            "TZ": TIME_ZONE,
            "UV_CACHE_DIR": str(self._installation.uv_cache),
        }

    def key_options(self, name: str) -> str:
        """Return the options that make a line of ``authorized_keys`` a login as ``name``."""
        # HOME is set before the account's own shell starts, so that it reads no file of the
        # account; the rest is done by the script.
        return f'command="{self._script(name)}",environment="HOME={self.home(name)}"'

    def _script(self, name: str) -> Path:
        return self._root / "home" / f"{name}.login"

    def _make_programs(self) -> None:
        (self._root / "bin").mkdir(parents=True)
        # By its real path: a link to the link in a venv would be a python without its venv.
        (self._root / "bin" / "python3").symlink_to(Path(sys.executable).resolve())
        self.modules.parent.mkdir()
        shutil.copy(DOCKER_FOLDER / "modules.sh", self.modules)
        # `module load NAME` looks beside the folder of init.sh.
        (self._root / "experimaestro").symlink_to(self._installation.venv)

    def _make_home(self, name: str) -> None:
        programs = self.home(name) / ".local" / "bin"
        programs.mkdir(parents=True)
        login_file = DOCKER_FOLDER / f"{name}.bashrc"
        if login_file.exists():
            shutil.copy(login_file, self.home(name) / LOGIN_FILE)
        if name in WITH_UV:
            (programs / "uv").symlink_to(self._installation.uv)
        variables = self.environment(name).items()
        exports = "\n".join(f"export {key}={shlex.quote(value)}" for key, value in variables)
        script = self._script(name)
        script.write_text(LOGIN_SCRIPT.format(environment=exports, login_file=LOGIN_FILE))
        script.chmod(0o700)
