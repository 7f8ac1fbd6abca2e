"""Host keys: we connect where ssh does, except where ssh would take what it cannot read, or a revoked key, for new."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncssh
import pytest

from tests.link.asyncssh_engine.both import HOST, open_server, ssh_connects, we_connect
from tests.support.effort import examples
from xpm_remote.errors import HostKeyError
from xpm_remote.link.known_hosts import hashed

CASES = examples(40, 300)

KEY = asyncssh.generate_private_key("ssh-ed25519")
OTHER = asyncssh.generate_private_key("ssh-ed25519")
RSA = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
AUTHORITY = asyncssh.generate_private_key("ssh-ed25519")


def public(key: asyncssh.SSHKey) -> str:
    """Return a public key in the notation of known_hosts."""
    return key.export_public_key("openssh").decode().strip()


CERTIFICATES = {
    "certificate": AUTHORITY.generate_host_certificate(KEY, "id", principals=[HOST]),
    "expired": AUTHORITY.generate_host_certificate(
        KEY, "id", principals=[HOST], valid_before="20200101"
    ),
    "of another host": AUTHORITY.generate_host_certificate(KEY, "id", principals=["elsewhere"]),
    "by another authority": OTHER.generate_host_certificate(KEY, "id", principals=[HOST]),
}
HOSTS = ["plain", "rsa", *CERTIFICATES]
STRICT = ["yes", "accept-new", "no", "ask"]

GOOD = (
    "NAME KEY",
    "NAME KEY wörld\x0c\u2028 NAME OTHER",
    "NAME\tKEY\r",
    "HASH KEY",
    "NAME OTHER",
    "HASH OTHER",
    "NAME RSA",
    "NAME,elsewhere rsa-sha2-512 RSA_BLOB me",
    "[127.0.0.?]:* OTHER",
    "*,!NAME OTHER",
    "!elsewhere,* KEY",
    f"{HOST} KEY",
    f"{HOST} OTHER",
    "elsewhere OTHER",
    "@cert-authority * AUTHORITY",
    "@cert-authority elsewhere AUTHORITY",
    "@cert-authority NAME OTHER",
    "NAME 1024 35 1234567890",
    "# NAME OTHER",
    "<<<<<<< HEAD",
    "elsewhere ssh-rsa §",
    "",
)
REVOCATIONS = ("@revoked * KEY", "@revoked HASH KEY", "@revoked NAME AUTHORITY", "@revoked * RSA")
BAD = (
    "NAME ssh-rsa §",
    "NAME",
    "@what NAME OTHER",
    "|1|x KEY",
    "\ufeffNAME OTHER",
    "NAME ssh-ed25519 AAAA",
)


@dataclass(frozen=True)
class Case:
    """A host, and what is known of it."""

    host: str
    strict: str
    lines: tuple[str, ...]

    @property
    def is_stricter(self) -> bool:
        """Whether we may refuse what ssh accepts."""
        is_bad = any(line in BAD for line in self.lines)
        is_revoked = self.strict == "no" and any(line in REVOCATIONS for line in self.lines)
        # Of a certificate, ssh takes the key of the usual port although another one is known for the port.
        is_of_usual_port = self.host in CERTIFICATES and f"{HOST} KEY" in self.lines
        return is_bad or is_revoked or is_of_usual_port

    def text(self, port: int) -> str:
        """Return the known_hosts file."""
        name = f"[{HOST}]:{port}"
        text = "".join(f"{line}\n" for line in self.lines)
        text = text.replace("NAME", name).replace("HASH", hashed(name))
        text = text.replace("RSA_BLOB", public(RSA).split()[1]).replace("RSA", public(RSA))
        text = text.replace("AUTHORITY", public(AUTHORITY))
        return text.replace("OTHER", public(OTHER)).replace("KEY", public(KEY))


def cases() -> list[Case]:
    """Return random cases, the same each time."""
    chosen = random.Random(13)
    kinds = (*GOOD, *GOOD, *REVOCATIONS, *BAD)
    return [
        Case(
            chosen.choice(HOSTS),
            chosen.choice(STRICT),
            tuple(chosen.sample(kinds, chosen.randint(0, 3))),
        )
        for _ in range(CASES)
    ]


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[dict[str, int]]:
    """Run a server for each kind of host; yield their ports."""
    async with contextlib.AsyncExitStack() as stack:
        ports = {}
        for host in HOSTS:
            shown = (KEY, CERTIFICATES[host]) if host in CERTIFICATES else KEY
            key = RSA if host == "rsa" else shown
            ports[host] = await stack.enter_async_context(open_server(server_host_keys=[key]))
        yield ports


@pytest.mark.slow
async def test_agreement_with_ssh(tmp_path: Path) -> None:
    """Both connect, or neither, and both record the same."""
    async with serving() as ports:
        for case in cases():
            port = ports[case.host]
            outcomes, texts, before = [], [], case.text(port)
            for connects in (ssh_connects, partial(we_connect, HostKeyError)):
                known = tmp_path / "known"
                known.write_text(before, encoding="utf-8")
                options = [
                    *(f"Port={port}", f"StrictHostKeyChecking={case.strict}", "BatchMode=yes"),
                    *(f"UserKnownHostsFile={known}", "GlobalKnownHostsFile=none"),
                    "HashKnownHosts=no",
                ]
                outcomes.append(await connects(options))
                texts.append(known.read_bytes())
            if case.is_stricter:
                assert outcomes != [False, True], case
            else:
                assert outcomes[0] == outcomes[1], (outcomes, case)
                assert texts[0] == texts[1], case
