"""Keys: we log in where ssh does, whatever an agent holds, whatever is named, and however few keys a host allows."""

from __future__ import annotations

import contextlib
import getpass
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncssh
import pytest

from tests.link.asyncssh_engine.both import HOST, LIMIT, ssh_connects, we_connect
from tests.support.effort import examples
from tests.support.errors import ServerUnavailableError
from tests.support.polling import wait_until
from tests.support.sshd import Sshd, find_sshd
from xpm_remote.errors import AuthenticationError
from xpm_remote.link.host import HostLink
from xpm_remote.link.options.connect_options import parse_ssh_options
from xpm_remote.link.prompts import RefusingPrompter
from xpm_remote.settings.schema import SshEngine

CASES = examples(30, 240)
BY_PROGRAM = 6
"""One case in as many is tried with the program ssh as our engine, too: it has the keys to itself."""

KINDS = ["ed25519"] * 5 + ["rsa", "ecdsa", "rsa"]
NAMES = [f"k{number}" for number in range(len(KINDS))]
FORMS = {
    "private": ["K", "K.pub"],
    "bare": ["K"],
    "public": ["K.pub"],
    "locked": ["K", "K.pub"],
    "hidden": ["K"],
    "certified": ["K", "K.pub", "K-cert.pub"],
}
"""The files of a key in the folder of each form; in the folders of two of them, a passphrase locks it."""
LOCKED = ("locked", "hidden")
TRIES = {2: "MaxAuthTries 2", 3: "MaxAuthTries 3", 6: ""}
USER = getpass.getuser()


@dataclass(frozen=True)
class Case:
    """A host that accepts some keys, and a person that has some.

    Attributes:
        tries: ``MaxAuthTries``.
        accepted: The keys that the host accepts, and ``authority`` for certificates.
        held: The forms and names of the keys that the agent holds, in order; None: there is no agent.
        named: Those that are named, in order.
        is_configured: Whether they are named in a config file, not by options.
        only: ``IdentitiesOnly``.
        certificates: Those of which the certificate is named.
    """

    tries: int
    accepted: tuple[str, ...]
    held: tuple[str, ...] | None
    named: tuple[str, ...]
    is_configured: bool
    only: bool
    certificates: tuple[str, ...]


def cases() -> list[Case]:
    """Return random cases, the same each time."""
    chosen = random.Random(14)

    def some(forms: list[str], most: int) -> tuple[str, ...]:
        names = chosen.sample(NAMES, chosen.randint(0, most))
        return tuple(f"{chosen.choice(forms)}/{name}" for name in names)

    found = []
    for _ in range(CASES):
        held = some(["private", "private", "certified"], len(NAMES))
        named = some([*FORMS, "public"], 4)
        within = [*(each.partition("/")[2] for each in (*held[-2:], *named)), *NAMES[:1]]
        found.append(
            Case(
                chosen.choice(list(TRIES)),
                tuple({chosen.choice(within), chosen.choice([*within, "authority"])}),
                held if chosen.random() < 0.9 else None,
                named,
                chosen.random() < 0.4,
                chosen.random() < 0.4,
                tuple(
                    f"certified/{name}" for name in chosen.sample(NAMES, 1) if chosen.random() < 0.2
                ),
            )
        )
    return found


class Place:
    """The keys in all their forms, hosts that differ in ``MaxAuthTries``, and an agent.

    Args:
        folder: Where the files are.
        agent: The agent's socket.
    """

    def __init__(self, folder: Path, agent: Path) -> None:
        self.folder = folder
        self.agent = agent
        self.hosts: dict[int, Sshd] = {}
        self._make_keys()

    def _make_keys(self) -> None:
        authority = asyncssh.generate_private_key("ssh-ed25519")
        (self.folder / "host").mkdir()
        authority.write_private_key(self.folder / "host" / "key")
        (self.folder / "host" / "key").chmod(0o600)
        authority.write_public_key(self.folder / "authority.pub")
        for name, kind in zip(NAMES, KINDS, strict=True):
            path = self.folder / "certified" / name
            path.parent.mkdir(exist_ok=True)
            size = ["-b", "2048"] if kind == "rsa" else []
            make = ["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-C", name, "-f", str(path)]
            subprocess.run(make, check=True)
            signed = authority.generate_user_certificate(
                asyncssh.read_public_key(f"{path}.pub"), name, principals=[USER]
            )
            signed.write_certificate(f"{path}-cert.pub")
            for form, files in FORMS.items():
                self._make_form(form, path, [file.replace("K", name) for file in files])

    def _make_form(self, form: str, key: Path, files: list[str]) -> None:
        folder = self.folder / form
        folder.mkdir(exist_ok=True)
        for file in files:
            with contextlib.suppress(shutil.SameFileError):
                shutil.copy(key.with_name(file), folder / file)
        if form in LOCKED:
            lock = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f"]
            subprocess.run([*lock, str(folder / key.name)], capture_output=True, check=True)

    def arrange(self, case: Case) -> tuple[list[str], Path]:
        """Fill the agent and the hosts' list of keys; return the options and the config file."""
        lines = []
        for name in case.accepted:
            if name == "authority":
                lines.append(f"cert-authority {(self.folder / 'authority.pub').read_text()}")
            else:
                lines.append((self.folder / "private" / f"{name}.pub").read_text())
        (self.folder / "authorized_keys").write_text("".join(lines))
        self._add(*("-D",))
        if case.held:
            self._add(*(str(self.folder / each) for each in case.held))
        identities = [f"IdentityFile={self.folder / each}" for each in case.named]
        config = self.folder / "config"
        config.write_text("".join(f"{line}\n" for line in identities if case.is_configured))
        options = [
            *(f"Port={self.hosts[case.tries].port}", "BatchMode=yes", "StrictHostKeyChecking=no"),
            *("UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=none"),
            *(identities if not case.is_configured else []),
            *(f"CertificateFile={self.folder / each}-cert.pub" for each in case.certificates),
            f"IdentitiesOnly={'yes' if case.only else 'no'}",
            f"IdentityAgent={'none' if case.held is None else self.agent}",
        ]
        return options, config

    def _add(self, *arguments: str) -> None:
        environment = {**os.environ, "SSH_AUTH_SOCK": str(self.agent)}
        subprocess.run(["ssh-add", "-q", *arguments], env=environment, check=True)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Keys, running hosts and a running agent."""
    try:
        program = find_sshd(os.environ)
    except ServerUnavailableError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    with contextlib.ExitStack() as stack:
        # Short, since a socket's path may have 108 bytes.
        short = stack.enter_context(TemporaryDirectory(prefix="xpm-"))
        made = Place(tmp_path, Path(short) / "agent")
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(made.agent)], stdout=-3)
        stack.callback(agent.wait, LIMIT)
        stack.callback(agent.terminate)
        wait_until(made.agent.exists, LIMIT, "the agent to listen")
        for tries, limit in TRIES.items():
            folder = tmp_path / f"host-{tries}"
            folder.mkdir()
            config = f"HostKey {tmp_path}/host/key\nAuthorizedKeysFile {tmp_path}/authorized_keys\n"
            made.hosts[tries] = Sshd.start(program, folder, config + limit + "\n")
            stack.callback(made.hosts[tries].close)
        yield made


async def program_connects(options: list[str], config: Path) -> bool:
    """Return whether we connect by the program ssh."""
    given = parse_ssh_options(f"{USER}@{HOST}", [f"-F {config}", *options], SshEngine.OPENSSH)
    link = HostLink(given, SshEngine.OPENSSH)
    try:
        process = await link.open_process("true", RefusingPrompter("it is night"))
    except AuthenticationError:
        return False
    await process.aclose(by_force=True)
    return True


@pytest.mark.slow
async def test_agreement_with_ssh(place: Place) -> None:
    """Both log in, or neither."""
    outcomes = set()
    for number, case in enumerate(cases()):
        options, config = place.arrange(case)
        by_ssh = await ssh_connects(options, USER, str(config))
        assert await we_connect(AuthenticationError, options, USER, str(config)) == by_ssh, case
        if number % BY_PROGRAM == 0:
            assert await program_connects(options, config) == by_ssh, case
        outcomes.add(by_ssh)
    assert outcomes == {True, False}
