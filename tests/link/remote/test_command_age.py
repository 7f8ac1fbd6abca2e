"""The check of a remote experimaestro's age, by real shells: a version that is certainly too old is not started."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from tests.link.remote_shells import Host, Run, any_shell, install_stub, started
from xpm_remote.errors import StartError
from xpm_remote.link.remote.command import RemoteExperimaestro, age_check


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A home directory with a workspace."""
    return Host(tmp_path)


@pytest.fixture
def script(host: Host) -> Path:
    """A console script of an environment of its own, in which nothing is installed."""
    environment = host.home / "venv"
    (environment / "bin").mkdir(parents=True)
    python = environment / "bin" / "python3"
    python.symlink_to(sys.executable)
    return install_stub(environment / "bin" / "experimaestro", str(python))


def install(script: Path, *versions: str) -> None:
    """Make an environment look as if versions of experimaestro were installed there."""
    packages = script.parent.parent / "lib" / "python3.11" / "site-packages"
    for version in versions:
        (packages / f"experimaestro-{version}.dist-info").mkdir(parents=True)


def run(host: Host, shell: str, xpm_path: str, shell_init: str | None = None) -> Run:
    """Run the command of the backend auto."""
    remote = RemoteExperimaestro(xpm_path=xpm_path)
    return host.run(shell, xpm_path=xpm_path, shell_init=shell_init, check=age_check(remote))


def refused(run: Run) -> str:
    """Return why it was not started, after checking that it was not."""
    assert run.call is None
    error = run.startup.failure(run.status, run.stderr, "/ws")
    assert isinstance(error, StartError), error
    return error.what


@any_shell
def test_old(host: Host, script: Path, shell: str) -> None:
    """A console script whose environment has an older version is reported, and not started."""
    install(script, "2.6.4")
    what = refused(run(host, shell, str(script)))
    assert what.startswith(f"the remote experimaestro 2.6.4 ({script}) is older than 2.7")


@any_shell
def test_new(host: Host, script: Path, shell: str) -> None:
    """A new enough one is started, and reads its requests from its stdin."""
    install(script, "2.7.0")
    started(run(host, shell, str(script)))


@any_shell
def test_through_a_link(host: Host, script: Path, shell: str) -> None:
    """The environment is the one that the script names, wherever a link to it is."""
    install(script, "2.6.4")
    link = host.home / "xpm"
    link.symlink_to(script)
    assert f"({link})" in refused(run(host, shell, str(link)))


@any_shell
def test_in_the_path(host: Host, script: Path, shell: str) -> None:
    """A bare name is looked for in the PATH that shell_init has set."""
    install(script, "2.6.4")
    folder = shlex.quote(str(script.parent))
    # All shells of these families export a variable so.
    init = f"setenv PATH {folder}:$PATH" if shell.endswith("csh") else f"export PATH={folder}:$PATH"
    assert f"({script})" in refused(run(host, shell, "experimaestro", init))


@pytest.mark.parametrize(
    "version", ["0.9.9", "1.12.0", "2.0", "2.6", "2.6.4", "2.6a1", "2.6.4.dev3+gabc", "2.0rc1"]
)
def test_versions_that_are_old(host: Host, script: Path, version: str) -> None:
    """Every version before 2.7 is old, including pre-releases."""
    install(script, version)
    assert f" {version} " in refused(run(host, "sh", str(script)))


@pytest.mark.parametrize("version", ["2.7.0", "2.7.0.dev1", "2.10.1", "2.60", "3.0", "10.0", "x"])
def test_versions_that_will_do(host: Host, script: Path, version: str) -> None:
    """A version that is not certainly old is started; the handshake decides."""
    install(script, version)
    started(run(host, "sh", str(script)))


def test_one_of_two(host: Host, script: Path) -> None:
    """With an old version beside another one, it is unknown which counts, and it is started."""
    install(script, "2.6.4", "2.8.0")
    started(run(host, "sh", str(script)))


def test_unknown(host: Host, script: Path) -> None:
    """Without version information it is started."""
    started(run(host, "sh", str(script)))


def test_no_console_script(host: Host) -> None:
    """A script of the user's own is started, whatever is beside the shell that it names."""
    wrapper = host.home / "wrapper"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(str(host.stub))} "$@"\n')
    wrapper.chmod(0o755)
    started(run(host, "sh", str(wrapper)))


def test_binary(host: Host, tmp_path: Path) -> None:
    """A program that is no script is not judged by its bytes."""
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF\0\0\xff no newline")
    program.chmod(0o755)
    done = run(host, "sh", str(program))
    assert (done.call, done.startup.phase.value) == (None, "ready")


def test_missing(host: Host) -> None:
    """For a missing program the shell reports the error."""
    done = run(host, "sh", "/no/such/program")
    assert (done.status, done.startup.phase.value) == (127, "ready")


@pytest.mark.parametrize("xpm_path", [None, "python3 -m experimaestro"])
def test_nothing_to_look_at(xpm_path: str | None) -> None:
    """For uv, whose versions are new enough, and for a command of several words there is no check."""
    assert age_check(RemoteExperimaestro(xpm_path=xpm_path)) == ""
