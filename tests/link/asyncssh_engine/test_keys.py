"""Keys that are offered to a host, and those that a passphrase protects."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncssh
import pytest

from xpm_remote.errors import AuthenticationError
from xpm_remote.link.asyncssh_engine import keys as module
from xpm_remote.link.asyncssh_engine.keys import Keys, OpenedKeys, Unlocking, agent_keys, find_keys
from xpm_remote.link.key_files import default_keys, is_locked
from xpm_remote.link.options.connect_options import ConnectOptions, parse_ssh_options
from xpm_remote.link.prompts import UnansweredError

pytestmark = pytest.mark.slow

NOTHING_GIVEN = ConnectOptions("t")


async def never(_key: str, _attempt: int) -> str:
    """Fail: no passphrase is asked for."""
    raise AssertionError


NOT_ASKED = Unlocking(never, OpenedKeys())


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key with its public half beside it."""
    path = tmp_path / "key"
    private = asyncssh.generate_private_key("ssh-ed25519")
    private.write_private_key(path)
    private.write_public_key(f"{path}.pub")
    return path


def test_files_of_a_config(key: Path, tmp_path: Path) -> None:
    """A file in a config need not exist, and is ignored when it is no key, or only public."""
    named = [str(tmp_path / "missing"), str(tmp_path), f"{key}.pub", str(key)]
    found = find_keys(NOTHING_GIVEN, named, [f"{tmp_path}/no-cert.pub", str(key)])
    assert found.named == named
    assert found.private == [str(key)]
    assert found.certificates == []
    assert offered(found, (), only=False) == [str(key)]


def test_tilde_that_is_no_home(key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that begins with a tilde is a file where the option says so, and an unknown user's is missing."""
    (tmp_path / "~mine").write_bytes(key.read_bytes())
    (tmp_path / "~mine").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    found = find_keys(parse_ssh_options("t", ["-i ./~mine"]), ["./~mine"], [])
    assert found.private == [f"{tmp_path}/~mine"]
    with pytest.raises(AuthenticationError, match=r"~no-such-user/key does not exist"):
        find_keys(parse_ssh_options("t", ["-i ~no-such-user/key"]), ["~no-such-user/key"], [])


def test_missing_file_of_an_option(key: Path, tmp_path: Path) -> None:
    """A key in an option must exist."""
    given = parse_ssh_options("t", [f"-i {tmp_path}/missing"])
    with pytest.raises(AuthenticationError, match=r"missing does not exist"):
        find_keys(given, [f"{tmp_path}/missing", str(key)], [])


def test_public_half_of_a_key_that_an_option_names(key: Path) -> None:
    """Of a key that an agent holds, the public half is enough, also where the name is that of the private one."""
    given, pair = parse_ssh_options("t", [f"-i {key}"]), held(asyncssh.read_private_key(key))
    key.unlink()
    assert offered(find_keys(given, [str(key)], []), pair, only=True) == [0]


def test_default_files(key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a named key, those of the usual names are tried; with none, no key."""
    monkeypatch.setattr("xpm_remote.link.key_files.home", lambda: tmp_path)
    (tmp_path / ".ssh").mkdir()
    key.rename(tmp_path / ".ssh" / "id_ed25519")
    default = find_keys(NOTHING_GIVEN, None, [])
    assert default.private == [str(tmp_path / ".ssh" / "id_ed25519")]
    assert find_keys(NOTHING_GIVEN, [], []).private == []


def test_no_key_is_not_the_default_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library does not look for keys of its own where none is left, but still forwards the agent."""
    monkeypatch.setattr("asyncssh.connection.load_default_keypairs", lambda *_: ["default"])
    arguments = find_keys(NOTHING_GIVEN, ["/missing"], []).arguments((), NOT_ASKED, only=False)
    options = asyncssh.SSHClientConnectionOptions(
        host="t", config=[os.devnull], agent_path="/agent", agent_forwarding=True, **arguments
    )
    assert options.client_keys == []
    assert options.agent_forward_path == "/agent"
    assert options.agent_identities == [b""]


def held(*keys: asyncssh.SSHKey) -> list[asyncssh.SSHKeyPair]:
    """Return keys as an agent holds them."""
    return [asyncssh.load_keypairs(key)[0] for key in keys]


def offered(keys: Keys, pairs: Sequence[asyncssh.SSHKeyPair], *, only: bool) -> list[object]:
    """Return what is offered in order: the numbers of an agent's keys, and file names."""
    order = keys.arguments(pairs, NOT_ASKED, only=only)["client_keys"]
    return [pairs.index(each) if each in pairs else each.get_comment() for each in order]


@pytest.mark.parametrize("name", ["key", "key.pub"])
def test_keys_of_an_agent(key: Path, name: str) -> None:
    """The named keys come first, also where only the public half is here; with IdentitiesOnly they are all."""
    foreign = asyncssh.generate_private_key("ssh-ed25519")
    pairs = held(foreign, foreign, asyncssh.read_private_key(key))
    found = find_keys(NOTHING_GIVEN, [str(key.parent / name)], [])
    assert offered(found, pairs, only=False) == [2, 0, 1]
    assert offered(found, pairs, only=True) == [2]


def test_key_that_the_agent_does_not_hold(key: Path) -> None:
    """A key of a file comes after those of the agent, as in ssh."""
    pairs = held(asyncssh.generate_private_key("ssh-ed25519"))
    found = find_keys(NOTHING_GIVEN, [str(key)], [])
    assert offered(found, pairs, only=False) == [0, str(key)]
    assert offered(found, pairs, only=True) == [str(key)]


def test_no_key_of_an_agent() -> None:
    """With IdentitiesOnly and no named key, no key of an agent is tried."""
    pairs = held(asyncssh.generate_private_key("ssh-ed25519"))
    assert offered(find_keys(NOTHING_GIVEN, ["/missing"], []), pairs, only=True) == []


async def test_agent_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An agent that is not there, or does not answer, has no keys; the latter is reported."""
    monkeypatch.setattr(module, "AGENT_TIMEOUT", 0.1)
    for path in (None, str(tmp_path / "none")):
        async with agent_keys(path) as found:
            assert list(found) == []
    assert caplog.messages == []
    # Short, since a socket's path may have 108 bytes.
    with TemporaryDirectory(prefix="xpm-") as folder, socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{folder}/agent")
        silent.listen()
        async with agent_keys(f"{folder}/agent") as found:
            assert list(found) == []
    assert "does not answer" in caplog.text


def test_certificate(key: Path, tmp_path: Path) -> None:
    """A named certificate comes first of all; without one, that beside a key comes after its key."""
    authority = asyncssh.generate_private_key("ssh-ed25519")
    private = asyncssh.read_private_key(key)
    beside = authority.generate_user_certificate(private, "beside")
    beside.write_certificate(f"{key}-cert.pub")
    named = authority.generate_user_certificate(private, "named")
    named.write_certificate(tmp_path / "named.pub")
    foreign = held(authority)

    def data(certificates: list[str], pairs: Sequence[asyncssh.SSHKeyPair]) -> list[bytes]:
        found = find_keys(NOTHING_GIVEN, [str(key)], certificates)
        order = found.arguments(pairs, NOT_ASKED, only=False)["client_keys"]
        return [each.public_data for each in order]

    own, other = private.public_data, authority.public_data
    assert data([], foreign) == [other, own, beside.public_data]
    assert data([], [*foreign, *held(private)]) == [own, other, beside.public_data]
    assert data([f"{tmp_path}/named.pub"], foreign) == [named.public_data, other, own]
    # The agent signs for it; its key is offered alone, too.
    mine = held(private)
    assert data([f"{tmp_path}/named.pub"], mine) == [named.public_data, own]
    assert mine[0].public_data == own


PASSPHRASE = "open sesame"


class Answers:
    """A user with prepared answers."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.attempts: list[int] = []

    async def ask_passphrase(self, key: str, attempt: int) -> str:
        """Return the next answer, if there is one."""
        self.attempts.append(attempt)
        if not self._answers:
            raise UnansweredError("no more")
        return self._answers.pop(0)


def make(folder: Path, kind: str = "ed25519", *options: str, lock: str = PASSPHRASE) -> Path:
    """Make a key as ssh-keygen does."""
    path = folder / f"id_{kind}"
    size = ["-b", "2048"] if kind == "rsa" else []  # a quarter of the default's time
    words = ["ssh-keygen", "-q", "-t", kind, *size, "-N", lock, "-f", str(path), *options]
    subprocess.run(words, check=True)
    return path


def find_one(path: Path, person: Answers | None = None, opened: OpenedKeys | None = None) -> Any:
    """Return what is offered of a protected key."""
    unlocking = Unlocking((person or Answers()).ask_passphrase, opened or OpenedKeys())
    found = find_keys(NOTHING_GIVEN, [str(path)], []).arguments((), unlocking, only=False)
    (pair,) = found["client_keys"]
    return pair


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_public_half(tmp_path: Path, kind: str, *, beside: bool) -> None:
    """It is known without the passphrase, with a public file beside the key or without."""
    path = make(tmp_path, kind)
    expected = asyncssh.read_public_key(f"{path}.pub")
    if not beside:
        Path(f"{path}.pub").unlink()
    assert find_one(path).public_data == expected.public_data


def test_what_is_not_locked(tmp_path: Path) -> None:
    """Unprotected keys, other files and missing ones are not locked; what is no key is not offered."""
    (tmp_path / "text").write_text("no key")
    paths = [str(make(tmp_path, lock="")), str(tmp_path / "text"), str(tmp_path / "none")]
    assert not any(map(is_locked, paths))
    assert len(offered(find_keys(NOTHING_GIVEN, paths, []), (), only=False)) == 1


@pytest.mark.parametrize("form", ["RFC4716", "PKCS8", "PEM"])
def test_locked_in_every_form(tmp_path: Path, form: str) -> None:
    """A passphrase is seen in each of the formats of OpenSSH, and in none of them where there is none."""
    locked = make(tmp_path, "rsa", "-m", form)
    assert is_locked(str(locked))
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", PASSPHRASE, "-N", "", "-m", form, "-f", locked], check=True
    )
    assert not is_locked(str(locked))


def test_old_format(tmp_path: Path) -> None:
    """The old format does not contain the public half: without a file beside it the key is left out."""
    path = make(tmp_path, "rsa", "-m", "PEM")
    assert find_one(path).get_comment() == str(path)
    Path(f"{path}.pub").unlink()
    assert is_locked(str(path))
    assert offered(find_keys(NOTHING_GIVEN, [str(path)], []), (), only=False) == []


@pytest.mark.parametrize("cut", [70, 120, 200])
def test_broken_file(tmp_path: Path, cut: int) -> None:
    """A truncated file is ignored."""
    path = make(tmp_path)
    Path(f"{path}.pub").unlink()
    path.write_bytes(path.read_bytes()[:cut] + b"\n-----END OPENSSH PRIVATE KEY-----\n")
    assert offered(find_keys(NOTHING_GIVEN, [str(path)], []), (), only=False) == []


async def test_signs_after_the_passphrase(tmp_path: Path) -> None:
    """The prompt appears once for everything that the key signs, and again after a wrong passphrase."""
    path, person = make(tmp_path), Answers("wrong", PASSPHRASE)
    pair, public = find_one(path, person), asyncssh.read_public_key(f"{path}.pub")
    assert person.attempts == []
    for data in (b"one", b"two"):
        assert public.verify(data, await pair.sign_async(data))
    assert person.attempts == [0, 1]


@pytest.mark.parametrize(
    ("answers", "asked"), [(("a", "b", "c", PASSPHRASE), 3), (("a",), 2), ((), 1)]
)
async def test_stays_locked(tmp_path: Path, answers: tuple[str, ...], asked: int) -> None:
    """After three wrong ones, or no answer, the key is given up for good."""
    person = Answers(*answers)
    pair = find_one(make(tmp_path), person)
    for _ in range(2):
        with pytest.raises(ValueError, match="stays locked"):
            await pair.sign_async(b"data")
    assert len(person.attempts) == asked


async def test_opened_before(tmp_path: Path) -> None:
    """An unlocked key signs for later connections, too; another key in its place does not."""
    path, opened = make(tmp_path), OpenedKeys()
    await find_one(path, Answers(PASSPHRASE), opened).sign_async(b"x")
    unasked = Answers()
    signature = await find_one(path, unasked, opened).sign_async(b"x")
    assert asyncssh.read_public_key(f"{path}.pub").verify(b"x", signature)
    assert unasked.attempts == []
    path.unlink()
    make(tmp_path)
    with pytest.raises(ValueError, match="stays locked"):
        await find_one(path, unasked, opened).sign_async(b"x")
    assert unasked.attempts == [0]


def make_certificates(folder: Path, *, beside: bool) -> tuple[Path, list[str]]:
    """Make a locked key, and a certificate of it beside it or elsewhere; return it and the named certificates."""
    authority, other = make(folder, "ecdsa", lock=""), make(folder, "rsa")
    path = make(folder)
    for key in (path, other):
        sign = ["ssh-keygen", "-q", "-s", str(authority), "-I", "me", "-n", "me", f"{key}.pub"]
        subprocess.run(sign, check=True)
    certificate = Path(f"{path}-cert.pub")
    if beside:
        return path, []
    return path, [f"{other}-cert.pub", str(certificate.rename(folder / "named"))]


@pytest.mark.parametrize("beside", [True, False])
async def test_certificates(tmp_path: Path, *, beside: bool) -> None:
    """A certificate of a locked key, beside it or named, is offered, too; one passphrase opens both."""
    path, named = make_certificates(tmp_path, beside=beside)
    person = Answers(PASSPHRASE)
    pairs = find_keys(NOTHING_GIVEN, [str(path)], named).arguments(
        (), Unlocking(person.ask_passphrase, OpenedKeys()), only=False
    )["client_keys"]
    assert [pair.has_cert for pair in pairs] == ([False, True] if beside else [True, False])
    for pair in pairs:
        await pair.sign_async(b"x")
    assert person.attempts == [0]


def test_default_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of the usual names that exist are used."""
    monkeypatch.setattr("xpm_remote.link.key_files.home", lambda: tmp_path)
    (tmp_path / ".ssh").mkdir()
    assert default_keys() == []
    path = make(tmp_path / ".ssh")
    assert default_keys() == [str(path)]
