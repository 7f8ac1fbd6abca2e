"""Which keys are shown to a host."""

from __future__ import annotations

import os
from pathlib import Path

import asyncssh
import pytest

from xpm_remote.errors import AuthenticationError
from xpm_remote.link.asyncssh_engine.keys import find_keys
from xpm_remote.link.options.connect_options import ConnectOptions, parse_ssh_options

NOTHING_GIVEN = ConnectOptions("t")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key with its public half beside it."""
    path = tmp_path / "key"
    private = asyncssh.generate_private_key("ssh-ed25519")
    private.write_private_key(path)
    private.write_public_key(f"{path}.pub")
    return path


def test_files_of_a_config(key: Path, tmp_path: Path) -> None:
    """A file need not exist, and is passed over when it is none, or only public."""
    named = [str(tmp_path / "missing"), str(tmp_path), f"{key}.pub", str(key)]
    found = find_keys(NOTHING_GIVEN, named, [f"{tmp_path}/no-cert.pub", str(key)])
    assert found.named == named
    assert found.private == [str(key)]
    assert found.certificates == []
    assert found.arguments(only=False) == {"client_keys": [str(key)], "client_certs": []}


def test_missing_file_of_an_option(key: Path, tmp_path: Path) -> None:
    """A key that is given by an option must exist."""
    given = parse_ssh_options("t", [f"-i {tmp_path}/missing"])
    with pytest.raises(AuthenticationError, match=r"missing does not exist"):
        find_keys(given, [f"{tmp_path}/missing", str(key)], [])


def test_default_files(key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no key is named, those of the usual names are tried; where none is wanted, none."""
    monkeypatch.setattr("xpm_remote.link.key_files.home", lambda: tmp_path)
    (tmp_path / ".ssh").mkdir()
    key.rename(tmp_path / ".ssh" / "id_ed25519")
    default = find_keys(NOTHING_GIVEN, None, [])
    assert default.private == [str(tmp_path / ".ssh" / "id_ed25519")]
    assert find_keys(NOTHING_GIVEN, [], []).private == []


def test_no_key_is_not_the_default_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library does not look for keys of its own where none is left, but still asks the agent."""
    monkeypatch.setattr("asyncssh.connection.load_default_keypairs", lambda *_: ["default"])
    arguments = find_keys(NOTHING_GIVEN, ["/missing"], []).arguments(only=False)
    options = asyncssh.SSHClientConnectionOptions(
        host="t", config=[os.devnull], agent_path="/agent", **arguments
    )
    assert options.client_keys == []
    assert options.agent_path == "/agent"
    assert options.agent_identities is None


@pytest.mark.parametrize("name", ["key", "key.pub"])
def test_chosen_keys_of_an_agent(key: Path, name: str) -> None:
    """With IdentitiesOnly, an agent is asked for the named keys, also where only the public half is here."""
    public = asyncssh.read_public_key(f"{key}.pub").public_data
    found = find_keys(NOTHING_GIVEN, [str(key.parent / name)], [])
    assert found.arguments(only=True)["agent_identities"] == [public]


def test_no_key_of_an_agent() -> None:
    """With IdentitiesOnly and no named key, no key of an agent is tried."""
    assert find_keys(NOTHING_GIVEN, ["/missing"], []).arguments(only=True)["agent_identities"] == [
        b""
    ]


def test_certificate(key: Path, tmp_path: Path) -> None:
    """Certificates are those that are named and those beside the keys."""
    authority = asyncssh.generate_private_key("ssh-ed25519")
    public = asyncssh.read_public_key(f"{key}.pub")
    beside = authority.generate_user_certificate(public, "beside")
    beside.write_certificate(f"{key}-cert.pub")
    named = authority.generate_user_certificate(public, "named")
    named.write_certificate(tmp_path / "named.pub")
    found = find_keys(NOTHING_GIVEN, [str(key)], [f"{tmp_path}/named.pub"])
    assert found.certificates == [f"{tmp_path}/named.pub"]
    identities = found.arguments(only=True)["agent_identities"]
    assert identities == [public.public_data, beside.public_data, named.public_data]
