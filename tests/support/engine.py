"""The container engine: found, called, and used to build the test server's image.

Particulars of a machine come from the environment, never from here:

=========================  =====================================================================
``XPM_TEST_ENGINE``        the engine's program; otherwise ``docker`` or ``podman``, whichever works
``XPM_TEST_ENGINE_ARGS``   arguments before every subcommand, as ``--runtime runc``
``XPM_TEST_BUILD_ARGS``    arguments of ``build``
``XPM_TEST_RUN_ARGS``      arguments of ``create``
``XPM_TEST_BASE_IMAGE``    the image to build on, instead of the Dockerfile's own
``XPM_TEST_TRIXIE_IMAGE``  an image of Debian trixie, on which another server is built
=========================  =====================================================================
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.errors import CommandError, ServerUnavailableError, one_line

ENGINES = ("docker", "podman")
DOCKER_FOLDER = Path(__file__).resolve().parents[2] / "docker"
NOT_IN_IMAGE = ("compose.yaml",)

ENGINE_LIMIT = 60.0
"""Seconds for one command of the engine; a slow disk makes a container in a few."""
TIMED_OUT = 124
"""The status of a command that was given up, as timeout(1) has it."""
PROBE_LIMIT = 20.0
"""Seconds for an engine to answer; a virtual machine behind it may be starting."""
BUILD_LIMIT = 1200.0
"""Seconds for the image: some hundred megabytes through a slow line."""


@dataclass(frozen=True)
class Engine:
    """A container engine that answers.

    Args:
        command: The program with its global arguments.
        build_args: Further arguments of ``build``.
        run_args: Further arguments of ``create``.
        base_image: The image to build on; empty for the Dockerfile's own.
    """

    command: tuple[str, ...]
    build_args: tuple[str, ...] = ()
    run_args: tuple[str, ...] = ()
    base_image: str = ""

    def call(self, *arguments: str, limit: float = ENGINE_LIMIT) -> str:
        """Run a subcommand and return its stdout and stderr together; ``CommandError`` if it fails."""
        command = (*self.command, *arguments)
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandError(command, TIMED_OUT, f"it took more than {limit:g} s") from error
        if done.returncode:
            raise CommandError(command, done.returncode, done.stdout)
        return done.stdout

    def image(self) -> str:
        """Return the test server's image, built now unless one of the same content is there."""
        base = ("--build-arg", f"BASE_IMAGE={self.base_image}") if self.base_image else ()
        return self._built("xpm-remote-test", DOCKER_FOLDER, self.base_image, base)

    def slurm_image(self) -> str:
        """Return the image of the same with a SLURM beside, built now unless one of the same content is there."""
        below = self.image()
        base = ("--build-arg", f"TEST_IMAGE={below}")
        return self._built("xpm-remote-test-slurm", DOCKER_FOLDER / "slurm", below, base)

    def _built(self, kind: str, folder: Path, below: str, base: Sequence[str]) -> str:
        name = f"{kind}:{_content(folder, below)}"
        try:
            self.call("image", "inspect", name)
        except CommandError:
            self._build(name, folder, base)
        return name

    def _build(self, name: str, folder: Path, base: Sequence[str]) -> None:
        arguments = ("build", *self.build_args, *base, "-t", name, str(folder))
        try:
            self.call(*arguments, limit=BUILD_LIMIT)
        except CommandError as error:
            raise ServerUnavailableError(
                f"the image of the test server cannot be built; `{shlex.join(error.command)}` "
                f"ends with: {one_line(error.output)}"
            ) from error


def _content(folder: Path, below: str) -> str:
    """Return a digest of what an image is made of: the files of a folder, and the image below."""
    digest = hashlib.sha256(below.encode())
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name not in NOT_IN_IMAGE:
            digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def find_engine(environ: Mapping[str, str]) -> Engine:
    """Return the first engine that answers; ``ServerUnavailableError`` when none does."""

    def words(variable: str) -> tuple[str, ...]:
        return tuple(shlex.split(environ.get(variable, "")))

    asked = environ.get("XPM_TEST_ENGINE")
    problems = []
    for program in (asked,) if asked else ENGINES:
        command = (program, *words("XPM_TEST_ENGINE_ARGS"))
        problem = _problem(command, environ)
        if problem is None:
            return Engine(
                command,
                words("XPM_TEST_BUILD_ARGS"),
                words("XPM_TEST_RUN_ARGS"),
                environ.get("XPM_TEST_BASE_IMAGE", ""),
            )
        problems.append(f"{program} {problem}")
    raise ServerUnavailableError(
        f"the test server needs docker or podman ({'; '.join(problems)}): install and start one "
        "of them, or set XPM_TEST_SSH=local to use a private sshd instead"
    )


def _problem(command: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """Return what keeps the engine from working; a command-line program without an engine is no engine."""
    if shutil.which(command[0], path=environ.get("PATH")) is None:
        return "is not installed"
    try:
        done = subprocess.run(
            (*command, "info"), capture_output=True, timeout=PROBE_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"does not answer within {PROBE_LIMIT:g} s"
    return "is installed but has no running engine" if _failed(done) else None


def _failed(done: subprocess.CompletedProcess[bytes]) -> bool:
    # `docker info` of some versions reports a missing engine in its text and still ends with 0.
    return (
        done.returncode != 0 or b"Cannot connect to the Docker daemon" in done.stdout + done.stderr
    )
