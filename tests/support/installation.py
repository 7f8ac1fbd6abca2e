"""The real experimaestro and uv, installed for the local test server in venvs that outlive the session."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.engine import DOCKER_FOLDER
from tests.support.errors import ServerUnavailableError, one_line

CACHE_VARIABLE = "XPM_TEST_CACHE"
DEFAULT_CACHE = DOCKER_FOLDER.parent / ".venvs"
INSTALL_LIMIT = 600.0
"""Seconds for one program to be fetched and installed through a slow line."""


@dataclass(frozen=True)
class Installation:
    """Programs in a folder of their own.

    Args:
        folder: Where they are.
    """

    folder: Path

    @property
    def venv(self) -> Path:
        """The venv with the real experimaestro."""
        return self.folder / "experimaestro"

    @property
    def experimaestro(self) -> Path:
        """The real experimaestro's program."""
        return self.venv / "bin" / "experimaestro"

    @property
    def python(self) -> Path:
        """The python that can import it."""
        return self.venv / "bin" / "python"

    @property
    def uv(self) -> Path:
        """The program uv, in a venv of its own."""
        return self.folder / "uv" / "bin" / "uv"

    @property
    def uv_cache(self) -> Path:
        """A cache from which ``uv tool run --offline`` has experimaestro."""
        return self.folder / "uv-cache"

    @classmethod
    def make(cls, environ: Mapping[str, str]) -> Installation:
        """Return the installation in the cache folder, made now unless it is there and complete.

        Raises:
            ServerUnavailableError: Something could not be installed; in one line.
        """
        versions = experimaestro_version(), pinned("UV_VERSION")
        cache = Path(environ.get(CACHE_VARIABLE) or DEFAULT_CACHE).absolute()
        made = cls(cache / f"test-server-{'-'.join(versions)}")
        made.folder.mkdir(parents=True, exist_ok=True)
        complete = made.folder / "complete"
        with (made.folder / "lock").open("w") as lock:
            # Another session may be making the same one.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not complete.exists():
                made._install()
                complete.touch()
        return made

    def _install(self) -> None:
        requirement = f"experimaestro=={experimaestro_version()}"
        for venv, needed in (
            (self.venv, requirement),
            (self.uv.parents[1], f"uv=={pinned('UV_VERSION')}"),
        ):
            _run(sys.executable, "-m", "venv", "--clear", str(venv))
            _run(str(venv / "bin" / "pip"), "install", needed)
        # Filled by the exact version; the tests ask for a range.
        for python in ((), ("--python", "python3")):
            cache = {"UV_CACHE_DIR": str(self.uv_cache)}
            _run(str(self.uv), "tool", "run", *python, requirement, "version", **cache)


def pinned(argument: str) -> str:
    """Return the value of an ``ARG`` of the Dockerfile: the same versions everywhere."""
    text = (DOCKER_FOLDER / "Dockerfile").read_text()
    found = re.search(rf"^ARG {argument}=(\S+)", text, re.MULTILINE)
    assert found is not None
    return found[1]


def experimaestro_version() -> str:
    """Return the version of the real experimaestro that the tests use."""
    return pinned("EXPERIMAESTRO_VERSION")


def _run(*command: str, **variables: str) -> None:
    done = subprocess.run(
        command,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALL_LIMIT,
        check=False,
    )
    if done.returncode:
        raise ServerUnavailableError(f"`{' '.join(command)}` fails: {one_line(done.stdout)}")
