"""People who have xpm-remote installed, with the real experimaestro beside it or alone, and a home of their own."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from tests.cli.commands import COMMAND_LIMIT, Finished
from tests.cli.in_process import call_main
from tests.support.peer import peer_python

CHECKOUT = Path(__file__).parents[2]
PROGRAMS = ("experimaestro", "xpm-remote")
VERSION_LIMIT = 30.0
"""Seconds for an interpreter to report its version, on a loaded machine."""

ENTRY = """\
#!{python}
import sys
from xpm_remote.__main__ import run
sys.exit(run())
"""
"""What an installer makes of ``[project.scripts]``."""


@dataclass(frozen=True)
class Person:
    """A user at a shell.

    Attributes:
        venv: Where xpm-remote is installed.
        home: The home directory; it is the current directory, too.
        is_here: Whether commands are run in this process, which has no experimaestro beside it either.
    """

    venv: Path
    home: Path
    is_here: bool = False

    @property
    def settings(self) -> Path:
        """The settings file that experimaestro reads, too."""
        return self.home / ".config" / "experimaestro" / "settings.yaml"

    @property
    def python(self) -> Path:
        """The interpreter beside which everything is installed."""
        return self.venv / "bin" / "python"

    def settle(self, text: str) -> Path:
        """Write the settings, indented or not."""
        self.settings.parent.mkdir(parents=True, exist_ok=True)
        self.settings.write_text(dedent(text))
        return self.settings

    def write(self, name: str, text: str) -> Path:
        """Write a file below the home."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return path

    def run(self, *arguments: str, program: str = PROGRAMS[0], **variables: str) -> Finished:
        """Run one of our programs to its end, with nothing on its stdin."""
        if not self.is_here:
            return self.run_process(*arguments, program=program, **variables)
        environment = self.environment(**variables)
        limit, folder = COMMAND_LIMIT, self.home
        return Finished(*call_main(arguments, environment, limit, program=program, folder=folder))

    def run_process(
        self, *arguments: str, program: str = PROGRAMS[0], **variables: str
    ) -> Finished:
        """Run one of our programs to its end, as it was installed."""
        return self._finish([str(self.venv / "bin" / program), *arguments], variables)

    def run_python(self, *arguments: str, **variables: str) -> Finished:
        """Run the interpreter to its end."""
        return self._finish([str(self.python), *arguments], variables)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start our program with pipes to its stdin and stdout."""
        return subprocess.Popen(
            [self.venv / "bin" / PROGRAMS[0], *arguments],
            cwd=self.home,
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def environment(self, **variables: str) -> dict[str, str]:
        """The variables of the shell."""
        inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {**inherited, "HOME": str(self.home), "COLUMNS": "80", **variables}

    def _finish(self, command: list[str], variables: dict[str, str]) -> Finished:
        done = subprocess.run(
            command,
            cwd=self.home,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)


def install(folder: Path, *, with_peer: bool) -> Path:
    """Make a venv that holds xpm-remote as this checkout has it, and perhaps the real experimaestro.

    Nothing is downloaded: the packages are those of our interpreter and of the peer's.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    places = [str(CHECKOUT), sysconfig.get_path("purelib")]
    if with_peer:
        places.append(_peer_packages())
    site = sysconfig.get_path("purelib", vars={"base": str(folder)})
    # Read when python starts: these come after the venv's own, in this order.
    (Path(site) / "places.pth").write_text("\n".join(places))
    for name in PROGRAMS:
        program = folder / "bin" / name
        program.write_text(ENTRY.format(python=folder / "bin" / "python"))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


def _peer_packages() -> str:
    """The folder with the packages of the real experimaestro."""
    python = peer_python()
    code = "import sys, sysconfig; print(*sys.version_info[:2], sysconfig.get_path('purelib'))"
    said = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, timeout=VERSION_LIMIT, check=True
    )
    major, minor, packages = said.stdout.split(maxsplit=2)
    # Compiled packages fit one version only.
    assert (int(major), int(minor)) == sys.version_info[:2], f"{python} is another python"
    return packages.strip()
