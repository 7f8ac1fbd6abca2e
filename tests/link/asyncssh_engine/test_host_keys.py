"""Host keys: which are known, how others are treated, and what the user is shown."""

from __future__ import annotations

import base64
import logging
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from xpm_remote.errors import HostKeyError
from xpm_remote.link.asyncssh_engine.host_keys import HostKeyPolicy, fingerprint
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


def known_keys(rules: HostKeyPolicy) -> list[str]:
    """Return the fingerprints of the host's known keys, with their kinds."""
    return [str(each).rpartition(" (")[0] for each in rules.known.keys]


def record(known_hosts: Path, text: str) -> None:
    """Write a known_hosts file."""
    known_hosts.parent.mkdir(exist_ok=True)
    known_hosts.write_text(text)


# What is known


def test_no_file(known_hosts: Path) -> None:
    """Without a file no key is known."""
    assert known_keys(policy(known_hosts)) == []


def test_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's files and the system's count; ~ is the home, and none is no file."""
    monkeypatch.setenv("HOME", "/home/me")
    rules = HostKeyPolicy(
        "h", 22, user_files=["~/.ssh/known_hosts", "none"], global_files=[os.devnull]
    )
    assert rules.files == ["/home/me/.ssh/known_hosts", os.devnull]


@pytest.mark.parametrize("name", ["example.org", f"{ADDRESS},EXAMPLE.org", "*.org"])
def test_known_key(known_hosts: Path, name: str) -> None:
    """A key is known by the host's name or a pattern."""
    record(known_hosts, f"{name} {public(KEY)}\n")
    assert known_keys(policy(known_hosts)) == [fingerprint(KEY)]


def test_key_of_the_address(known_hosts: Path) -> None:
    """A key that is known for the address alone is unknown for the name, as in ssh."""
    record(known_hosts, f"{ADDRESS} {public(KEY)}\n")
    assert not policy(known_hosts).accepts(ADDRESS, KEY)


def test_port_is_part_of_the_name(known_hosts: Path) -> None:
    """A key of another port is another machine's, for example a container's."""
    record(known_hosts, f"[example.org]:2222 {public(KEY)}\n")
    assert known_keys(policy(known_hosts, port=2222)) == [fingerprint(KEY)]
    assert known_keys(policy(known_hosts)) == []


def test_key_of_the_usual_port(known_hosts: Path) -> None:
    """For a port of which no key is known, that of the usual port counts if it is the same, as in ssh."""
    record(known_hosts, f"example.org {public(KEY)}\n")
    assert known_keys(policy(known_hosts, port=2222)) == []
    assert policy(known_hosts, "yes", port=2222).accepts(ADDRESS, KEY)
    assert not policy(known_hosts, "yes", port=2222).accepts(ADDRESS, OTHER)
    record(known_hosts, f"example.org {public(KEY)}\n@revoked example.org {public(KEY)}\n")
    assert not policy(known_hosts, "yes", port=2222).accepts(ADDRESS, KEY)
    record(known_hosts, f"example.org {public(KEY)}\n[example.org]:2222 {public(OTHER)}\n")
    assert not policy(known_hosts, "yes", port=2222).accepts(ADDRESS, KEY)


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
    assert known_keys(rules) == [fingerprint(KEY)]
    assert rules.accepts(ADDRESS, KEY)  # asked again when the connection exchanges keys anew
    assert not rules.accepts(ADDRESS, OTHER)
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


@pytest.mark.parametrize("user_files", [[], [os.devnull], ["none"]])
def test_nowhere_to_record(
    user_files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key may be accepted without being recorded."""
    monkeypatch.chdir(tmp_path)
    rules = HostKeyPolicy("example.org", 22, "no", user_files, [])
    assert rules.accepts(ADDRESS, KEY)
    assert known_keys(rules) == []
    assert list(tmp_path.iterdir()) == []


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


BAD_LINES = {
    "no key": "example.org",
    "no key after its kind": "example.org ssh-ed25519",
    "not base64": "example.org ssh-ed25519 §",
    "cut off": f"example.org {public(OTHER)[:-8]}",
    "another kind": f"example.org ssh-rsa {public(OTHER).split()[1]}",
    "hash": f"|1|x {public(OTHER)}",
    "marker": f"@what example.org {public(OTHER)}",
    "two markers": f"@revoked @cert-authority example.org {public(OTHER)}",
    "mark": f"\ufeffexample.org {public(OTHER)}",
    "NUL": f"exam\0ple.org {public(OTHER)}",
    "old Mac": f"elsewhere {public(OTHER)} me\rexample.org {public(OTHER)}",
}


@pytest.mark.parametrize("kind", BAD_LINES)
@pytest.mark.parametrize("strict", ["accept-new", "no", "ask"])
def test_line_that_cannot_be_read(known_hosts: Path, kind: str, strict: str) -> None:
    """A line that may be about the host and cannot be read lets no new key pass; one that is known still counts."""
    text = f"# mine\n{BAD_LINES[kind]}\n"
    record(known_hosts, text)
    rules = policy(known_hosts, strict)
    assert not rules.accepts(ADDRESS, KEY)
    assert not rules.is_in_question
    assert not rules.is_change_allowed
    assert f"cannot be checked: {known_hosts}:2 (" in str(rules.error("Host key is not trusted"))
    assert known_hosts.read_bytes() == text.encode()
    record(known_hosts, f"{text}example.org {public(KEY)}\n")
    assert fingerprint(KEY) in map(fingerprint, rules.trusted("", "", None)[0])


@pytest.mark.parametrize("kind", sorted(BAD_LINES.keys() - {"hash", "NUL", "old Mac"}))
def test_bad_line_of_another_host(known_hosts: Path, kind: str) -> None:
    """A line of another host that cannot be read is no obstacle."""
    record(known_hosts, BAD_LINES[kind].replace("example.org", "elsewhere") + "\n")
    assert policy(known_hosts, "accept-new").accepts(ADDRESS, KEY)


@pytest.mark.parametrize("where", ["user", "system"])
def test_file_that_cannot_be_read(tmp_path: Path, where: str) -> None:
    """A directory in the place of a file, as any file that cannot be read, lets no new key pass."""
    files = ([str(tmp_path)], []) if where == "user" else ([str(tmp_path / "new")], [str(tmp_path)])
    rules = HostKeyPolicy("example.org", 22, "accept-new", *files)
    assert not rules.accepts(ADDRESS, KEY)
    assert f"{tmp_path} (Is a directory)" in str(rules.error("not trusted"))


@pytest.mark.parametrize("line", ["example.org bad", "|1|x bad", "\ufeffexample.org bad"])
def test_revocation_that_cannot_be_read(known_hosts: Path, line: str) -> None:
    """A revocation that cannot be read may be that of the known key."""
    mark = "\ufeff" if line.startswith("\ufeff") else ""
    record(known_hosts, f"{mark}@revoked {line.strip(mark)}\nexample.org {public(KEY)}\n")
    with pytest.raises(HostKeyError, match=f"{known_hosts}:1"):
        _ = policy(known_hosts).trusted


@pytest.mark.parametrize("strict", ["no", "ask", "yes"])
def test_revoked_key(known_hosts: Path, strict: str) -> None:
    """A revoked key is refused even if it is known, and whatever StrictHostKeyChecking is."""
    record(known_hosts, f"example.org {public(KEY)}\n@revoked * {public(KEY)} wörld\n")
    rules = policy(known_hosts, strict)
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        rules.weigh(KEY.public_data)
    assert f"is revoked: {fingerprint(KEY)} ({known_hosts}:2)" in str(rules.error("x"))
    assert not rules.is_change_allowed


# Certificates

AUTHORITY = asyncssh.generate_private_key("ssh-ed25519")
OLD_AUTHORITY = asyncssh.generate_private_key("ssh-rsa", key_size=2048)


def certified(key: asyncssh.SSHKey = KEY, **given: Any) -> bytes:
    """Return a certificate of a host key, as a host sends it."""
    principals = given.pop("principals", ["example.org"])
    signer = given.pop("signer", AUTHORITY)
    certificate = signer.generate_host_certificate(key, "id", principals=principals, **given)
    return bytes(certificate.public_data)


def test_certificate_of_a_known_authority(known_hosts: Path) -> None:
    """A valid certificate by a known authority makes the host's key a known one."""
    record(known_hosts, f"@cert-authority *.org {public(AUTHORITY)}\n")
    rules = policy(known_hosts, "yes")
    assert rules.weigh(certified()) == KEY.public_data
    assert rules.accepts(ADDRESS, KEY)
    assert not rules.accepts(ADDRESS, OTHER)
    assert rules.place(KEY) == f"{known_hosts}:1"
    assert rules.place(OTHER) == ""


@pytest.mark.parametrize(
    "given",
    [
        {"valid_before": "20200101"},
        {"principals": ["elsewhere"]},
        {"signer": OTHER},
        {"signer": OLD_AUTHORITY, "sig_alg": "ssh-rsa"},
    ],
    ids=["expired", "another host", "another authority", "SHA-1"],
)
def test_certificate_that_does_not_count(known_hosts: Path, given: dict[str, Any]) -> None:
    """A host with a certificate that does not count is one with a plain key: unknown, or known by it."""
    text = f"@cert-authority * {public(AUTHORITY)}\n@cert-authority * {public(OLD_AUTHORITY)}\n"
    record(known_hosts, text)
    rules = policy(known_hosts)
    assert rules.weigh(certified(**given)) == KEY.public_data
    assert not rules.accepts(ADDRESS, KEY)
    assert rules.is_in_question
    record(known_hosts, f"{text}example.org {public(KEY)}\n")
    assert [key.public_data for key in rules.trusted("", "", None)[0]] == [KEY.public_data]


@pytest.mark.parametrize("revoked", [KEY, AUTHORITY], ids=["key", "authority"])
def test_revoked_certificate(known_hosts: Path, revoked: asyncssh.SSHKey) -> None:
    """A certificate of a revoked key, or by a revoked authority, is refused, also where the plain key is known."""
    record(
        known_hosts,
        f"@cert-authority * {public(AUTHORITY)}\nexample.org {public(KEY)}\n@revoked * {public(revoked)}\n",
    )
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        policy(known_hosts).weigh(certified())


def test_what_is_no_certificate(known_hosts: Path) -> None:
    """Other data is left to the library."""
    assert policy(known_hosts).weigh(b"what") == b"what"


ALGORITHMS = ["ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", "rsa-sha2-512", "ssh-dss"]


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("", ALGORITHMS),
        (f"example.org {public(KEY)}", ALGORITHMS),
        (f"example.org {public(OLD_AUTHORITY)}", [ALGORITHMS[2], *ALGORITHMS[:2], ALGORITHMS[3]]),
        (
            f"@cert-authority * {public(KEY)}\nexample.org {public(OLD_AUTHORITY)}",
            [ALGORITHMS[0], ALGORITHMS[2], ALGORITHMS[1], ALGORITHMS[3]],
        ),
    ],
    ids=["none", "first", "other", "authority"],
)
def test_order_of_algorithms(known_hosts: Path, text: str, order: list[str]) -> None:
    """The algorithms of known keys, and of certificates where an authority is known, come first, as in ssh."""
    record(known_hosts, f"{text}\n")
    assert policy(known_hosts).order(ALGORITHMS) == order


def test_what_the_library_trusts(known_hosts: Path) -> None:
    """The library gets the keys of our name, whatever name and address it looks up, of the kinds that it has."""
    other = "x ssh-new " + base64.b64encode(b"\0\0\0\7ssh-new").decode()
    record(
        known_hosts,
        f"{ADDRESS} {public(OTHER)}\nalias {public(KEY)}\nalias {other[2:]}\n@revoked alias {public(OTHER)}\n",
    )
    rules = HostKeyPolicy("alias", 22, "ask", [str(known_hosts)], [])
    trusted, _, revoked, *_ = asyncssh.match_known_hosts(rules.trusted, "other", ADDRESS, 2222)
    assert list(map(fingerprint, trusted)) == [fingerprint(KEY)]
    assert list(map(fingerprint, revoked)) == [fingerprint(OTHER)]


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


@pytest.mark.parametrize("name", ["example.org", "elsewhere,example.org"])
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
    record(known_hosts, f"example.org {public(OTHER)}\n")
    rules = policy(known_hosts)
    assert not rules.accepts(ADDRESS, KEY)
    assert not rules.is_in_question
