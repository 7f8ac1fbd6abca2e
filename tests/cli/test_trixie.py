"""A host of Debian trixie: OpenSSH 10 and Python 3.13, with all that they refuse and older ones do not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.cli.commands import Commands, Finished
from tests.support.container import ContainerServer
from tests.support.effort import ALL
from tests.support.errors import ServerUnavailableError
from tests.support.launch import start_trixie
from tests.support.polling import wait_until
from xpm_remote.settings.schema import SshEngine

pytestmark = pytest.mark.slow

BAN_LIMIT = 30.0
"""Seconds for the host to ban an address after some failures: a few logins' worth, on a busy machine."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerServer]:
    """The host; without an image of it, these tests fail where everything is to be tried, or else are left out."""
    if os.environ.get("XPM_TEST_SSH"):
        pytest.skip("XPM_TEST_SSH=local has no other Debian than this machine's")
    try:
        started = start_trixie(tmp_path_factory.mktemp("trixie"), os.environ)
    except ServerUnavailableError as error:
        if ALL or os.environ.get("XPM_TEST_TRIXIE_IMAGE"):
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        pytest.skip(str(error))
    yield started
    started.close()


@pytest.fixture
def workspace(server: ContainerServer) -> str:
    """An empty workspace of alice's."""
    path = f"{server.home('alice')}/watched"
    server.run("alice", f"mkdir -p {path}; touch {path}/.__experimaestro__")
    return path


@pytest.mark.usefixtures("by_engine")
def test_every_stage(server: ContainerServer, workspace: str, commands: Commands) -> None:
    """Each stage of the way works, as far as the snapshot of both backends."""
    commands.add_login(
        server, "alice", workspace, xpm_path=server.experimaestro, backend="experimaestro"
    )
    chosen = ("--ssh-engine", str(commands.engine))
    done = commands.run(
        "doctor", "--workspace", "alice", "--format", "json", "--listen", "0", *chosen
    )
    assert done.status == 0, done.stdout
    stages = {each["stage"]: each for each in done.document["stages"]}
    assert "OpenSSH_10" in str(stages)
    assert "3.13" in str(stages["tools"]["facts"])
    shown = commands.monitor(
        "--workspace", "alice", "--once", "--format", "json", "--backend", "agent"
    )
    assert shown.status == 0, shown.stderr


def test_ban(
    server: ContainerServer,
    workspace: str,
    commands: Commands,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """An address from which logins fail is refused for a while, which both engines tell as that."""
    stranger = tmp_path_factory.mktemp("keys") / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger], check=True)
    known = f"-F none -p {server.port} -o UserKnownHostsFile={server.known_hosts}"
    failing = ["ssh", *known.split(), "-l", "alice", "-o", "BatchMode=yes", "-i", str(stranger)]
    failing += ["-o", "IdentitiesOnly=yes", server.host, "true"]

    def is_banned() -> bool:
        done = subprocess.run(failing, capture_output=True, text=True, check=False)
        return "Permission denied" not in done.stderr

    login = server.login("alice")
    words = ("experiments", "ssh-monitor", server.host, workspace, "--once", "--backend", "agent")
    flags = f"{known} -l {login.user} -i {login.key}"

    def told(engine: SshEngine) -> Finished:
        wait_until(is_banned, BAN_LIMIT, "the ban")
        return commands.run_process(*words, "--ssh-engine", engine.value, "-o", flags)

    for engine in SshEngine.ASYNCSSH, SshEngine.OPENSSH:
        done = told(engine)
        while done.status == 0:  # the ban, of 15 s, was over
            done = told(engine)
        assert done.status == 11, done.stderr
        assert "refuses the connection: Not allowed at this time" in done.stderr
        assert "wait some minutes" in done.stderr
