"""Algorithms: we connect where ssh does, and say what is missing where not."""

from __future__ import annotations

import random

import asyncssh
import pytest

from tests.link.asyncssh_engine.both import HOST, open_server, ssh_connects, we_connect
from tests.support.effort import examples
from xpm_remote.errors import NegotiationError
from xpm_remote.link.asyncssh_engine import resolution
from xpm_remote.link.asyncssh_engine.algorithms import algorithm_arguments, safe
from xpm_remote.link.asyncssh_engine.connection import open_connection
from xpm_remote.link.asyncssh_engine.resolution import resolve
from xpm_remote.link.options.connect_options import ConnectOptions, parse_ssh_options
from xpm_remote.link.prompts import RefusingPrompter

CASES = examples(24, 240)
KEYS = {
    "ed25519": asyncssh.generate_private_key("ssh-ed25519"),
    "rsa": asyncssh.generate_private_key("ssh-rsa", key_size=2048),
    "ecdsa": asyncssh.generate_private_key("ecdsa-sha2-nistp256"),
}
SERVERS: dict[str, list[str]] = {
    "kex_algs": [
        "curve25519-sha256",
        "ecdh-sha2-nistp256",
        "diffie-hellman-group14-sha256",
        "diffie-hellman-group14-sha1",
        "diffie-hellman-group1-sha1",
    ],
    "encryption_algs": ["aes128-ctr", "aes256-gcm@openssh.com", "aes128-cbc", "3des-cbc"],
    "mac_algs": ["hmac-sha2-256-etm@openssh.com", "hmac-sha1", "hmac-md5"],
}
OPTIONS = [
    "KexAlgorithms=+diffie-hellman-group14-sha1",
    "KexAlgorithms=-diffie-hellman-group14-sha1",
    "KexAlgorithms=-curve25519*",
    "KexAlgorithms=^diffie-hellman-group1-sha1",
    "KexAlgorithms=ecdh-sha2-nistp256",
    "Ciphers=+aes128-cbc",
    "Ciphers=-aes128-ctr",
    "Ciphers=3des-cbc,aes128-ctr",
    "MACs=+hmac-md5",
    "MACs=-hmac-sha1",
    "HostKeyAlgorithms=-ssh-rsa",
    "HostKeyAlgorithms=-rsa-*",
    "HostKeyAlgorithms=ssh-ed25519,ecdsa-sha2-nistp256",
    "HostKeyAlgorithms=+ssh-rsa",
]
LAX = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=none"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
async def test_agreement_with_ssh() -> None:
    """For servers that offer one of each kind and options of every spelling, both connect, or neither."""
    chosen = random.Random(14)
    for _ in range(CASES):
        key = chosen.choice(list(KEYS))
        offered = {name: [chosen.choice(values)] for name, values in SERVERS.items()}
        options = chosen.sample(OPTIONS, chosen.randint(0, 3))
        async with open_server(server_host_keys=[KEYS[key]], **offered) as port:
            asked = [f"Port={port}", *LAX, *options]
            by_ssh = await ssh_connects(asked)
            by_us = await we_connect(NegotiationError, asked)
        assert by_us == by_ssh, (key, offered, options)


async def refused(options: list[str]) -> NegotiationError:
    """Return the error of a failed negotiation."""
    parsed = parse_ssh_options(f"me@{HOST}", ["-F none", *LAX, *options])
    with pytest.raises(NegotiationError) as caught:
        await open_connection(parsed, RefusingPrompter(""))
    return caught.value


@pytest.mark.parametrize(
    ("server", "options", "keyword", "offer"),
    [
        (
            {"kex_algs": ["diffie-hellman-group14-sha1"]},
            [],
            "KexAlgorithms",
            "diffie-hellman-group14-sha1",
        ),
        ({}, ["HostKeyAlgorithms=rsa-sha2-512"], "HostKeyAlgorithms", "ssh-ed25519"),
        ({"encryption_algs": ["aes128-cbc"]}, [], "Ciphers", "aes128-cbc"),
        ({"encryption_algs": ["aes128-ctr"], "mac_algs": ["hmac-md5"]}, [], "MACs", "hmac-md5"),
    ],
)
async def test_what_is_missing(
    server: dict[str, list[str]], options: list[str], keyword: str, offer: str
) -> None:
    """The error names the kind, both lists shortly, and the option that lets us in; that is how it is."""
    async with open_server(server_host_keys=[KEYS["ed25519"]], **server) as port:
        error = await refused([f"Port={port}", *options])
        assert (error.keyword, error.theirs) == (keyword, (offer,))
        assert f"it offers {offer}, we offer " in str(error)
        assert len(str(error)) < 400
        assert f"-o {keyword}=+{offer}" in error.hint
        allowed = [f"{keyword}=+{offer}"]
        assert await we_connect(NegotiationError, [f"Port={port}", *LAX, *allowed])


async def test_without_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program ssh, what is not named is our own list, which has no SHA-1 where it matters."""

    async def none(*_: object) -> None:
        return None

    monkeypatch.setattr(resolution, "read_config", none)
    given = parse_ssh_options(HOST, ["-F none", "Ciphers=+aes128-cbc"])
    async with resolve(given) as found:
        assert found.arguments["kex_algs"] == safe("KexAlgorithms")
        assert "encryption_algs" not in found.arguments
        assert "ssh-rsa" not in found.arguments["signature_algs"]
    for keyword in ("KexAlgorithms", "HostKeyAlgorithms"):
        assert not [name for name in safe(keyword) if name.endswith(("sha1", "ssh-rsa", "dss"))]


async def test_signatures() -> None:
    """Our keys sign as PubkeyAcceptedAlgorithms says, of an option without ssh, or as ssh says."""
    library = await asyncssh.SSHClientConnectionOptions.construct(host=HOST, config=[])

    def signatures(value: str) -> list[str]:
        options = ConnectOptions(HOST, keywords=(("PubkeyAcceptedAlgorithms", value),))
        return list(algorithm_arguments(options, library)["signature_algs"])

    assert signatures("+ssh-rsa")[-1] == "ssh-rsa"
    assert "ssh-ed25519" in signatures("+ssh-rsa")
    assert signatures("rsa-sha2-256,ssh-new,ssh-ed25519-cert-v01@openssh.com") == ["rsa-sha2-256"]
