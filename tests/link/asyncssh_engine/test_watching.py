"""A login of the library's, followed: against servers that refuse and accept as they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from xpm_remote.doctor.stages import Examination, Stage, StageResult
from xpm_remote.link.asyncssh_engine.login import BANNER_KEPT, LoginWatch, describe_key
from xpm_remote.link.observer import Step

HOST = "127.0.0.1"
PASSWORD = "correct horse"


class Doorkeeper(asyncssh.SSHServer):
    """Lets in who shows the key, or knows the password.

    Args:
        key: The key that is good; None: none is.
        banner: What everybody is shown.
    """

    def __init__(self, key: asyncssh.SSHKey | None, banner: str) -> None:
        self._key = key
        self._banner = banner

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Take the connection."""
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        """Let nobody in unasked."""
        if self._banner:
            self._connection.send_auth_banner(self._banner)
        return True

    def public_key_auth_supported(self) -> bool:
        """Take keys."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Know one key."""
        return key == self._key

    def password_auth_supported(self) -> bool:
        """Take passwords."""
        return True

    def validate_password(self, username: str, password: str) -> bool:
        """Know one password."""
        return password == PASSWORD


class Client(asyncssh.SSHClient):
    """Somebody who tries passwords, watched.

    Args:
        watch: Follows.
        passwords: Tried in turn.
    """

    def __init__(self, watch: LoginWatch, passwords: Sequence[str]) -> None:
        self._watch = watch
        self._passwords = list(passwords)

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Begin."""
        self._watch.attach(conn)

    def begin_auth(self, username: str) -> None:
        """Trust the host."""
        self._watch.begin()

    def auth_banner_received(self, msg: str, lang: str) -> None:
        """Read the banner."""
        self._watch.show_banner(msg)

    def auth_completed(self) -> None:
        """Be let in."""
        self._watch.succeed()

    def password_auth_requested(self) -> str | None:
        """Give the next password."""
        return self._passwords.pop(0) if self._passwords else None


@pytest.fixture
def keys(tmp_path: Path) -> list[asyncssh.SSHKey]:
    """Two keys, and their files: ``0`` and ``1``."""
    made = [asyncssh.generate_private_key("ssh-ed25519", comment=f"key {n}") for n in range(2)]
    for number, key in enumerate(made):
        key.write_private_key(tmp_path / str(number))
    return made


@asynccontextmanager
async def serve(key: asyncssh.SSHKey | None, banner: str = "") -> AsyncIterator[int]:
    """Serve one who is known by a key; give the port."""
    server = await asyncssh.listen(
        HOST,
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        server_factory=lambda: Doorkeeper(key, banner),
    )
    try:
        yield server.get_port()
    finally:
        server.close()
        await server.wait_closed()


async def log_in(port: int, folder: Path, *passwords: str) -> list[StageResult]:
    """Try both keys, then passwords; give what was seen of it."""
    examination = Examination(lambda: 0.0)
    examination.enter(Step.HOST_KEY, HOST)
    watch = LoginWatch(examination, HOST, lambda _, address: f"known_hosts:1 by {address}")
    options: dict[str, Any] = {"known_hosts": None, "config": None, "agent_path": None}
    try:
        connection = await asyncssh.connect(
            HOST,
            port,
            username="me",
            client_keys=[str(folder / "0"), str(folder / "1")],
            client_factory=lambda: Client(watch, passwords),
            **options,
        )
        connection.close()
        await connection.wait_closed()
    except asyncssh.PermissionDenied:
        pass
    examination.finish()
    return examination.results


def tries(result: StageResult) -> list[tuple[str, str, str]]:
    """Give method, the comment of the key, and outcome of each attempt."""
    return [
        (each["method"], each["identity"].partition("(")[2].partition(")")[0], each["outcome"])
        for each in result.facts["attempts"]
    ]


async def test_second_key(keys: list[asyncssh.SSHKey], tmp_path: Path) -> None:
    """The host's key with its place, the methods on offer, and each key with its outcome are told."""
    async with serve(keys[1].convert_to_public()) as port:
        host_key, authentication = await log_in(port, tmp_path)
    assert host_key.stage is Stage.HOST_KEY
    assert host_key.facts["key"].startswith("ssh-ed25519 SHA256:")
    assert host_key.facts["known"] == f"known_hosts:1 by {HOST}"
    assert authentication.facts["methods"] == ["publickey", "keyboard-interactive", "password"]
    assert tries(authentication) == [
        ("publickey", "key 0", "refused"),
        ("publickey", "key 1", "accepted"),
    ]
    assert keys[1].get_fingerprint() in authentication.facts["attempts"][1]["identity"]
    assert authentication.facts["attempts"][1]["seconds"] >= 0


async def test_second_password(keys: list[asyncssh.SSHKey], tmp_path: Path) -> None:
    """After the keys, each password is an attempt; none is written down."""
    async with serve(None) as port:
        results = await log_in(port, tmp_path, "wrong", PASSWORD)
    assert tries(results[-1])[2:] == [("password", "", "refused"), ("password", "", "accepted")]
    assert PASSWORD not in repr(results)


async def test_nothing_works(keys: list[asyncssh.SSHKey], tmp_path: Path) -> None:
    """A method for which there is nothing to try is no attempt."""
    async with serve(None) as port:
        results = await log_in(port, tmp_path)
    assert tries(results[-1]) == [
        ("publickey", "key 0", "refused"),
        ("publickey", "key 1", "refused"),
    ]


async def test_banner(keys: list[asyncssh.SSHKey], tmp_path: Path) -> None:
    """What the host shows everybody is told, a screenful of it."""
    async with serve(keys[0].convert_to_public(), "Welcome\n" * 1000) as port:
        results = await log_in(port, tmp_path)
    banner = results[-1].facts["banner"]
    assert banner.startswith("Welcome\nWelcome\n")
    assert len(banner) == BANNER_KEPT


def test_certificate(keys: list[asyncssh.SSHKey], tmp_path: Path) -> None:
    """A certificate is told from the key for which it is."""
    authority = asyncssh.generate_private_key("ssh-ed25519")
    signed = authority.generate_user_certificate(keys[0], "me", principals=["me"])
    signed.write_certificate(tmp_path / "0-cert.pub")
    certified, plain = asyncssh.load_keypairs(str(tmp_path / "0"))
    assert describe_key(certified).startswith("ssh-ed25519 certificate (")
    expected = f"ssh-ed25519 {keys[0].get_fingerprint()} (key 0) from a file"
    assert describe_key(plain) == expected
