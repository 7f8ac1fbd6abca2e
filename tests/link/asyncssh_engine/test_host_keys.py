"""Host keys: which are known, how others are treated, and what the user is shown."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import subprocess
from pathlib import Path

import asyncssh
import pytest

from xpm_remote.errors import HostKeyError
from xpm_remote.link.asyncssh_engine.host_keys import HostKeyPolicy
from xpm_remote.link.key_files import fingerprint
from xpm_remote.link.prompts import RefusingPrompter

KEY = asyncssh.generate_private_key("ssh-ed25519")
OTHER = asyncssh.generate_private_key("ssh-ed25519")
ADDRESS = "192.0.2.1"


def public(key: asyncssh.SSHKey) -> str:
    """Return a public key in the notation of known_hosts."""
    return key.export_public_key("openssh").decode().strip()


@pytest.fixture
def known_hosts(tmp_path: Path) -> Path:
    """The path of a user's known_hosts, which does not exist yet, nor its directory."""
    return tmp_path / ".ssh" / "known_hosts"


def policy(
    known_hosts: Path, strict: str = "ask", *, port: int = 22, hash_names: bool = False
) -> HostKeyPolicy:
    """Make the policy for one host and one file."""
    return HostKeyPolicy("example.org", port, strict, [str(known_hosts)], [], hash_names=hash_names)


def record(known_hosts: Path, text: str) -> None:
    """Write a known_hosts file."""
    known_hosts.parent.mkdir(exist_ok=True)
    known_hosts.write_text(text)


# What is known


def test_no_file(known_hosts: Path) -> None:
    """Without a file no key is known."""
    assert policy(known_hosts).files == []
    assert list(policy(known_hosts).known_keys(ADDRESS)) == []


def test_readable_files(known_hosts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the user's files and the system's, the readable ones count; ~ is the home."""
    record(known_hosts, "")
    monkeypatch.setenv("HOME", str(known_hosts.parent.parent))
    rules = HostKeyPolicy(
        "h", 22, user_files=["~/.ssh/known_hosts", "~/none"], global_files=[os.devnull]
    )
    assert rules.files == [str(known_hosts), os.devnull]


@pytest.mark.parametrize("name", ["example.org", ADDRESS, f"other,{ADDRESS}", "*.org"])
def test_known_key(known_hosts: Path, name: str) -> None:
    """A key is known by the host's name, its address, or a pattern."""
    record(known_hosts, f"{name} {public(KEY)}\n")
    (known,) = policy(known_hosts).known_keys(ADDRESS)
    assert fingerprint(known) == fingerprint(KEY)


@pytest.mark.parametrize(
    "name", ["[example.org]:2222", f"[{ADDRESS}]:2222", f"[example.org]:2222,[{ADDRESS}]:2222"]
)
def test_port_is_part_of_the_name(known_hosts: Path, name: str) -> None:
    """A key of another port is another machine's, for example a container's."""
    record(known_hosts, f"{name} {public(KEY)}\n")
    assert len(policy(known_hosts, port=2222).known_keys(ADDRESS)) == 1
    assert list(policy(known_hosts).known_keys(ADDRESS)) == []
    record(known_hosts, f"example.org,{ADDRESS} {public(KEY)}\n")
    assert list(policy(known_hosts, port=2222).known_keys(ADDRESS)) == []


# An unknown key


@pytest.mark.parametrize("strict", ["yes", "ask"])
def test_unknown_key_is_refused(known_hosts: Path, strict: str) -> None:
    """An unknown key is refused, not recorded, and shown."""
    rules = policy(known_hosts, strict, port=2222)
    assert not rules.accepts(ADDRESS, KEY)
    assert not known_hosts.exists()
    error = rules.error("Host key is not trusted")
    assert f"the host key of [example.org]:2222 is unknown: {fingerprint(KEY)}" in str(error)
    assert "StrictHostKeyChecking=accept-new" in str(error)


@pytest.mark.parametrize("strict", ["no", "accept-new"])
@pytest.mark.parametrize("hash_names", [True, False])
@pytest.mark.parametrize("port", [22, 2222])
def test_new_key_is_recorded(
    known_hosts: Path, strict: str, *, hash_names: bool, port: int
) -> None:
    """A new key that is accepted is recorded, and known from then on; its name may be hashed."""
    rules = policy(known_hosts, strict, port=port, hash_names=hash_names)
    assert rules.accepts(ADDRESS, KEY)
    assert rules.refused is None
    assert [fingerprint(key) for key in rules.known_keys(ADDRESS)] == [fingerprint(KEY)]
    assert ("example.org" in known_hosts.read_text()) != hash_names
    assert stat.S_IMODE(known_hosts.parent.stat().st_mode) == 0o700


def test_record_is_read_by_openssh(known_hosts: Path) -> None:
    """A record is found by OpenSSH's own tool, hashed or not."""
    policy(known_hosts, "no", hash_names=True).accepts(ADDRESS, KEY)
    policy(known_hosts, "no", port=2222).accepts(ADDRESS, OTHER)
    keygen = shutil.which("ssh-keygen")
    assert keygen, "ssh-keygen is needed: install the OpenSSH client"
    for name, key in (("example.org", KEY), ("[example.org]:2222", OTHER)):
        found = subprocess.run(
            [keygen, "-F", name, "-f", known_hosts], capture_output=True, text=True, check=True
        )
        assert public(key).split()[1] in found.stdout


@pytest.mark.parametrize("end", ["", "\n"])
def test_record_begins_a_line(known_hosts: Path, end: str) -> None:
    """A record does not continue a last line that was left unfinished."""
    record(known_hosts, f"elsewhere {public(OTHER)}{end}")
    policy(known_hosts, "no").accepts(ADDRESS, KEY)
    assert known_hosts.read_text() == f"elsewhere {public(OTHER)}\nexample.org {public(KEY)}\n"


@pytest.mark.parametrize("user_files", [[], [os.devnull]])
def test_nowhere_to_record(user_files: list[str]) -> None:
    """A key may be accepted without being recorded."""
    rules = HostKeyPolicy("example.org", 22, "no", user_files, [])
    assert rules.accepts(ADDRESS, KEY)
    assert list(rules.known_keys(ADDRESS)) == []


def test_record_that_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that cannot be written is a warning; the key is accepted, as configured."""
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        assert policy(tmp_path / "file" / "known_hosts", "no").accepts(ADDRESS, KEY)
    assert "cannot be recorded" in caplog.text


# Another key


@pytest.mark.parametrize("strict", ["yes", "ask", "accept-new"])
def test_changed_key_is_refused(known_hosts: Path, strict: str) -> None:
    """A host for which another key is known is refused; both keys are shown."""
    record(known_hosts, f"example.org {public(OTHER)}\n")
    rules = policy(known_hosts, strict)
    assert not rules.accepts(ADDRESS, KEY)
    assert not rules.is_change_allowed
    text = str(rules.error("Host key is not trusted"))
    assert "has changed" in text
    assert fingerprint(OTHER) in text
    assert fingerprint(KEY) in text
    assert "ssh-keygen -R 'example.org'" in text


def test_changed_key_without_checking(known_hosts: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With "no", another key is accepted at a second connection, with a warning, unrecorded, and gets no secret."""
    text = f"example.org {public(OTHER)}\n"
    record(known_hosts, text)
    rules = policy(known_hosts, "no")
    rules.allow_change()
    assert not rules.accepts(ADDRESS, KEY)
    assert rules.is_change_allowed
    assert rules.restrictions == {}
    rules.allow_change()
    assert rules.accepts(ADDRESS, KEY)
    assert rules.restrictions == {
        "password_auth": False,
        "kbdint_auth": False,
        "agent_forwarding": False,
    }
    assert known_hosts.read_text() == text
    (message,) = caplog.messages
    assert "has changed" in message
    assert fingerprint(OTHER) in message
    assert fingerprint(KEY) in message
    assert "without passwords" in message


@pytest.mark.parametrize(
    "bad", ["example.org", "example.org ssh-rsa", "|1|x example.org k", "\udcff"]
)
def test_lines_that_are_no_entries(known_hosts: Path, bad: str) -> None:
    """A malformed line is ignored; the others count."""
    record(known_hosts, "")
    text = f"{bad}\nexample.org {public(KEY)}\n@what ever {public(OTHER)} x\n"
    known_hosts.write_text(text, errors="surrogateescape")
    rules = policy(known_hosts)
    assert list(map(fingerprint, rules.known_keys(ADDRESS))) == [fingerprint(KEY)]
    assert [each.place for each in rules._find(ADDRESS)] == [f"{known_hosts}:2"]


def test_alias_is_the_whole_name(known_hosts: Path) -> None:
    """The keys of the address do not count for a host with an alias."""
    record(known_hosts, f"{ADDRESS} {public(OTHER)}\nalias {public(KEY)}\n")
    rules = HostKeyPolicy("alias", 22, "ask", [str(known_hosts)], [], is_alias=True)
    assert list(map(fingerprint, rules.known_keys(ADDRESS))) == [fingerprint(KEY)]
    trusted = asyncssh.match_known_hosts(rules.trusted, "alias", ADDRESS, 2222)[0]
    assert list(map(fingerprint, trusted)) == [fingerprint(KEY)]


def test_other_refusals() -> None:
    """A refusal that is not about the key itself has the library's message."""
    error = HostKeyPolicy("example.org", 22).error("Certificate has expired")
    assert str(error) == "the host key of example.org is refused: Certificate has expired"


def test_fingerprint_is_that_of_openssh(tmp_path: Path) -> None:
    """A fingerprint has the notation of ssh, for comparison."""
    (tmp_path / "key.pub").write_text(public(KEY))
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", tmp_path / "key.pub"], capture_output=True, text=True, check=True
    ).stdout
    assert fingerprint(KEY).split()[1] in shown
    assert fingerprint(KEY).split()[1].startswith("SHA256:")


@pytest.mark.parametrize("name", ["example.org", ADDRESS, "elsewhere,example.org"])
def test_line_of_the_known_key(known_hosts: Path, name: str) -> None:
    """Where another key is known, its file and line are shown."""
    record(
        known_hosts,
        f"# mine\nelsewhere {public(KEY)}\nx ssh-unknown AAAA\n{name} {public(OTHER)}\n",
    )
    rules = policy(known_hosts)
    assert not rules.accepts(ADDRESS, KEY)
    assert f"{fingerprint(OTHER)} ({known_hosts}:4)" in str(rules.error("not trusted"))


def test_line_of_a_hidden_name(known_hosts: Path) -> None:
    """The line is found with a hashed name, and with a port in the name."""
    policy(known_hosts, "no", port=2222, hash_names=True).accepts(ADDRESS, OTHER)
    rules = policy(known_hosts, port=2222)
    assert not rules.accepts(ADDRESS, KEY)
    assert f"{known_hosts}:1" in str(rules.error("not trusted"))


# A user who is prompted


def recorded(known_hosts: Path) -> tuple[str, int] | None:
    """Return the text and the mode of a known_hosts file, if there is one."""
    if not known_hosts.exists():
        return None
    return known_hosts.read_text(), stat.S_IMODE(known_hosts.stat().st_mode)


class Answers:
    """A user with prepared answers."""

    obstacle = None

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.questions: list[str] = []

    def tell(self, text: str) -> None:
        """Ignore the message."""

    async def ask(self, question: str, *, echo: bool) -> str:
        """Return the next answer."""
        assert echo
        self.questions.append(question)
        return self._answers.pop(0)


@pytest.mark.parametrize(
    "answer", ["yes", " YES ", KEY.get_fingerprint()], ids=["yes", "YES", "fingerprint"]
)
async def test_confirmed_key_is_recorded(known_hosts: Path, answer: str) -> None:
    """A key that the user has confirmed is recorded, in a file that only they can read, and accepted from then on."""
    rules = policy(known_hosts)
    assert not rules.accepts(ADDRESS, KEY)
    assert rules.is_in_question
    person = Answers("y", OTHER.get_fingerprint(), answer)
    await rules.confirm(person)
    assert fingerprint(KEY) in person.questions[0]
    assert ADDRESS in person.questions[0]
    assert len(person.questions) == 3
    assert recorded(known_hosts) == (f"example.org {public(KEY)}\n", 0o600)
    assert rules.accepts(ADDRESS, KEY)
    assert not rules.accepts(ADDRESS, OTHER)
    assert not rules.is_in_question


async def test_confirmed_key_that_cannot_be_recorded() -> None:
    """A key that the user has confirmed is accepted, also if it cannot be recorded."""
    rules = HostKeyPolicy("example.org", 22, "ask", [os.devnull], [])
    assert not rules.accepts(ADDRESS, KEY)
    await rules.confirm(Answers("yes"))
    assert rules.accepts(ADDRESS, KEY)


async def test_declined_key(known_hosts: Path) -> None:
    """A key that the user rejects is an error, and is not recorded."""
    rules = policy(known_hosts)
    rules.accepts(ADDRESS, KEY)
    with pytest.raises(HostKeyError, match="was not accepted"):
        await rules.confirm(Answers("no"))
    assert recorded(known_hosts) is None


async def test_no_user_to_confirm(known_hosts: Path) -> None:
    """Without a user to prompt, the error has the question and the reason."""
    rules = policy(known_hosts)
    rules.accepts(ADDRESS, KEY)
    with pytest.raises(HostKeyError) as caught:
        await rules.confirm(RefusingPrompter("it is night"))
    assert KEY.get_fingerprint() in str(caught.value)
    assert "it is night" in str(caught.value)
    assert caught.value.unanswered == ("The host example.org (192.0.2.1) is not known yet",)


@pytest.mark.parametrize("strict", ["yes", "no", "accept-new"])
def test_not_in_question(known_hosts: Path, strict: str) -> None:
    """There is no prompt where the options decide."""
    rules = policy(known_hosts, strict)
    rules.accepts(ADDRESS, KEY)
    assert not rules.is_in_question


def test_changed_key_is_not_in_question(known_hosts: Path) -> None:
    """There is no prompt about a key other than the known one."""
    record(known_hosts, f"{ADDRESS} {public(OTHER)}\n")
    rules = policy(known_hosts)
    assert not rules.accepts(ADDRESS, KEY)
    assert not rules.is_in_question
