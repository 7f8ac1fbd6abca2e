"""Logging in: the prompts, their time, and the attempts that an observer sees."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.link.asking import CODE, HOST, PASSWORD, Asking, AskingServer
from xpm_remote.doctor.stages import Examination, Stage, StageResult
from xpm_remote.errors import AuthenticationError, UnreachableError
from xpm_remote.link.asyncssh_engine.connection import open_connection
from xpm_remote.link.asyncssh_engine.login import BANNER_KEPT, LoginWatch, describe_key
from xpm_remote.link.observer import Step
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.prompts import Prompter, RefusingPrompter
from xpm_remote.link.waits import DEFAULT_LIMITS, Limits

pytestmark = pytest.mark.slow

SHORT = 1.0
"""Seconds that stand for those of ``Limits`` here: more than a host takes until it asks."""
LONG = 1.3 * SHORT
"""Seconds that a slow person takes."""


class Slow:
    """A user who takes longer than a login without prompts may."""

    obstacle = None

    def tell(self, text: str) -> None:
        """Ignore the message."""

    async def ask(self, question: str, *, echo: bool) -> str:
        """Answer, after a while."""
        await asyncio.sleep(LONG)
        return CODE if echo else PASSWORD


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Asking]:
    """Make a server that prompts, whose key is known; no other method logs in."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return lambda *methods: Asking(tmp_path, *methods)


async def log_in(
    server: Asking, prompter: Prompter, *options: str, limits: Limits = DEFAULT_LIMITS
) -> None:
    """Log in to a server that prompts."""
    server.know()
    parsed = parse_ssh_options(f"me@{HOST}", [*server.options, *options])
    await (await open_connection(parsed, prompter, limits=limits)).aclose()


@pytest.mark.parametrize("method", ["password", "interview"])
async def test_slow_person(asking: Callable[..., Asking], method: str) -> None:
    """A slow user does not run into any limit of ours."""
    with asking(method) as server:
        await log_in(server, Slow(), limits=Limits(login=SHORT))


class Latin(str):
    """A text that goes out in Latin-1."""

    def encode(self, *_: object, **__: object) -> bytes:
        """Return it in Latin-1."""
        return super().encode("latin-1")


async def test_question_in_another_encoding(
    asking: Callable[..., Asking], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions that are not UTF-8 are asked with escapes, and are no reason to refuse the host."""
    challenge = (
        "",
        Latin("Acc\xe8s"),
        "",
        [(Latin("Num\xe9ro: "), False), (Latin("Cl\xe9: "), True)],
    )
    monkeypatch.setattr(AskingServer, "get_kbdint_challenge", lambda *_: challenge)
    shown: list[str] = []

    class Person(Slow):
        """A user who answers at once."""

        def tell(self, text: str) -> None:
            """Keep the message."""
            shown.append(text)

        async def ask(self, question: str, *, echo: bool) -> str:
            """Keep the question, and answer."""
            shown.append(question)
            return CODE if echo else PASSWORD

    with asking("interview") as server:
        await log_in(server, Person())
    assert shown == ["Acc\\xe8s", f"(me@{HOST}) Num\\xe9ro: ", f"(me@{HOST}) Cl\\xe9: "]


async def test_stalled_host() -> None:
    """A host that greets and then stays silent is given up while no prompt is open."""
    limits = Limits(key_exchange=SHORT)
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        options = parse_ssh_options(HOST, [f"-F none -p {port}"])
        opening = asyncio.create_task(open_connection(options, RefusingPrompter(""), limits=limits))
        listener.setblocking(False)
        accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
        with accepted:
            accepted.sendall(b"SSH-2.0-Stalled\r\n")
            with pytest.raises(UnreachableError, match=f"{port} has not finished the key exchange"):
                await opening


@pytest.mark.parametrize(
    ("method", "words"), [("password", "a password"), ("interview", "an interactive login")]
)
async def test_no_user_to_prompt(asking: Callable[..., Asking], method: str, words: str) -> None:
    """Without a user to prompt, the error has the question at once, and no interview is begun."""
    with asking(method) as server:
        with pytest.raises(AuthenticationError, match=f"would take {words}, but it is") as caught:
            await log_in(server, RefusingPrompter("it is night"))
        asked = "Password of me@127.0.0.1" if method == "password" else words
        assert caught.value.unanswered == (asked,)
        assert server.begun == []


async def test_batch_mode_of_a_config_file(asking: Callable[..., Asking], tmp_path: Path) -> None:
    """BatchMode of a config file suppresses prompts too."""
    (tmp_path / "config").write_text("BatchMode yes\n")
    with asking("interview") as server:
        with pytest.raises(AuthenticationError, match="BatchMode=yes forbids") as caught:
            await log_in(server, Slow(), f"-F {tmp_path}/config")
        assert caught.value.unanswered == ()
        assert server.begun == []


async def test_every_way_in_turn(asking: Callable[..., Asking]) -> None:
    """The methods that a host offers are tried in the order of PreferredAuthentications."""
    with asking("interview", "password") as server:
        await log_in(server, Slow(), "PreferredAuthentications=password")
        assert server.begun == []
        await log_in(server, Slow())
        assert server.begun == ["me"]


@pytest.mark.parametrize("method", ["password", "interview"])
async def test_secrets_are_not_logged(
    asking: Callable[..., Asking], method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No answer is written to a log, at any level."""
    with caplog.at_level("DEBUG", "asyncssh"), asking(method) as server:
        await log_in(server, Slow(), "-vvv")
    assert "Trying" in caplog.text
    assert PASSWORD not in caplog.text
    assert CODE not in caplog.text


# Attempts, as an observer sees them


class Doorkeeper(asyncssh.SSHServer):
    """Accepts one key and one password.

    Args:
        key: The key; None: no key is accepted.
        banner: The text that is shown before the login.
    """

    def __init__(self, key: asyncssh.SSHKey | None, banner: str) -> None:
        self._key = key
        self._banner = banner

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Take the connection."""
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        """Show the banner, and require a login."""
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


class WatchedClient(asyncssh.SSHClient):
    """A client that tries passwords, while an observer follows.

    Args:
        watch: Follows the login.
        passwords: Tried in turn.
    """

    def __init__(self, watch: LoginWatch, passwords: Sequence[str]) -> None:
        self._watch = watch
        self._passwords = list(passwords)

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Start."""
        self._watch.attach(conn)

    def begin_auth(self, username: str) -> None:
        """Trust the host."""
        self._watch.begin()

    def auth_banner_received(self, msg: str, lang: str) -> None:
        """Read the banner."""
        self._watch.show_banner(msg)

    def auth_completed(self) -> None:
        """Note the success."""
        self._watch.succeed()

    def password_auth_requested(self) -> str | None:
        """Return the next password."""
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
    """Serve logins by a key; yield the port."""
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


async def follow(port: int, folder: Path, *passwords: str) -> list[StageResult]:
    """Try both keys, then passwords; return the stages that were observed."""
    examination = Examination(lambda: 0.0)
    examination.enter(Step.HOST_KEY, HOST)
    watch = LoginWatch(examination, HOST, lambda _: "known_hosts:1")
    options: dict[str, Any] = {"known_hosts": None, "config": None, "agent_path": None}
    try:
        connection = await asyncssh.connect(
            HOST,
            port,
            username="me",
            client_keys=[str(folder / "0"), str(folder / "1")],
            client_factory=lambda: WatchedClient(watch, passwords),
            **options,
        )
        connection.close()
        await connection.wait_closed()
    except asyncssh.PermissionDenied:
        pass
    examination.finish()
    return examination.results


def tries(result: StageResult) -> list[tuple[str, str, str]]:
    """Return the method, the comment of the key and the outcome of each attempt."""
    return [
        (each["method"], each["identity"].partition("(")[2].partition(")")[0], each["outcome"])
        for each in result.facts["attempts"]
    ]


async def test_second_key(keys: list[asyncssh.SSHKey], tmp_path: Path) -> None:
    """The host's key with its place, the offered methods, and each key with its outcome are reported."""
    async with serve(keys[1].convert_to_public()) as port:
        host_key, authentication = await follow(port, tmp_path)
    assert host_key.stage is Stage.HOST_KEY
    assert host_key.facts["key"].startswith("ssh-ed25519 SHA256:")
    assert host_key.facts["known"] == "known_hosts:1"
    assert authentication.facts["methods"] == ["publickey", "keyboard-interactive", "password"]
    assert tries(authentication) == [
        ("publickey", "key 0", "refused"),
        ("publickey", "key 1", "accepted"),
    ]
    assert keys[1].get_fingerprint() in authentication.facts["attempts"][1]["identity"]
    assert authentication.facts["attempts"][1]["seconds"] >= 0


async def test_second_password(keys: list[asyncssh.SSHKey], tmp_path: Path) -> None:
    """After the keys, each password is an attempt; none is recorded."""
    async with serve(None) as port:
        results = await follow(port, tmp_path, "wrong", PASSWORD)
    assert tries(results[-1])[2:] == [("password", "", "refused"), ("password", "", "accepted")]
    assert PASSWORD not in repr(results)


async def test_nothing_works(keys: list[asyncssh.SSHKey], tmp_path: Path) -> None:
    """A method without anything to try is no attempt."""
    async with serve(None) as port:
        results = await follow(port, tmp_path)
    assert tries(results[-1]) == [
        ("publickey", "key 0", "refused"),
        ("publickey", "key 1", "refused"),
    ]


async def test_banner(keys: list[asyncssh.SSHKey], tmp_path: Path) -> None:
    """The banner is reported, up to a screenful."""
    async with serve(keys[0].convert_to_public(), "Welcome\n" * 1000) as port:
        results = await follow(port, tmp_path)
    banner = results[-1].facts["banner"]
    assert banner.startswith("Welcome\nWelcome\n")
    assert len(banner) == BANNER_KEPT


def test_certificate(keys: list[asyncssh.SSHKey], tmp_path: Path) -> None:
    """The description of a certificate differs from that of its key."""
    authority = asyncssh.generate_private_key("ssh-ed25519")
    signed = authority.generate_user_certificate(keys[0], "me", principals=["me"])
    signed.write_certificate(tmp_path / "0-cert.pub")
    certified, plain = asyncssh.load_keypairs(str(tmp_path / "0"))
    assert describe_key(certified).startswith("ssh-ed25519 certificate (")
    expected = f"ssh-ed25519 {keys[0].get_fingerprint()} (key 0) from a file"
    assert describe_key(plain) == expected
