"""What it means when the program ``ssh`` does not bring us to the host. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from xpm_remote.errors import (
    AuthenticationError,
    HostKeyError,
    LinkError,
    NegotiationError,
    OptionError,
    ResolveError,
    UnreachableError,
)

_UNRESOLVED = re.compile(r"ssh: Could not resolve hostname (\S+): (.*)")
_OFFENDING = re.compile(r"Offending (?:\S+ )?key in (.+):(\d+)", re.MULTILINE)
_SENT = re.compile(
    r"The fingerprint for the (\S+) key sent by the remote host is\s+(\S+?)\.?\s*$", re.M
)
_REFUSED = re.compile(
    r"Permission denied|Too many authentication failures|No more authentication methods"
)
_UNVERIFIED = "Host key verification failed"
_CHANGED = "HOST IDENTIFICATION HAS CHANGED"
_METHODS = re.compile(r"Permission denied \((.*)\)")
_UNLIKE = re.compile(
    r"Unable to negotiate|Protocol major versions differ|Bad remote protocol version|banner line contains invalid"
    r"|invalid characters|Bad packet length|Corrupted MAC|incorrect signature|no matching|line too long"
)
_TIMED_OUT = re.compile(r"timed out", re.IGNORECASE)
# Lines that say that a connection ended, but not why.
_EMPTY = re.compile(r"Connection closed by UNKNOWN port|^\s*$")
_BY_A_PERSON = {"password": "a password", "keyboard-interactive": "an interactive login"}
_SAID = 3


@dataclass(frozen=True)
class Evidence:
    """What is known of a login that failed.

    Attributes:
        where: Host and port.
        host_key_name: The host as known_hosts names it.
        said: What ``ssh`` said, without its progress.
        is_connecting: Whether it had understood its options.
        timeout: Seconds that it was given to reach the host.
        strict: ``StrictHostKeyChecking`` as ``ssh -G`` says it.
        obstacle: Why nobody could be asked; None when somebody could, or was not needed.
        fingerprint: Kind and fingerprint of the host's key, once it was sent.
        known: The fingerprint of the key that was known instead, and its place.
        locked: Private keys that need a passphrase.
        is_batch: Whether the options forbid prompts.
    """

    where: str
    host_key_name: str
    said: str
    is_connecting: bool = True
    timeout: float = 0
    strict: str = "ask"
    obstacle: str | None = None
    fingerprint: str | None = None
    known: str | None = None
    locked: tuple[str, ...] = ()
    is_batch: bool = False

    @property
    def words(self) -> str:
        """What was said, as one line."""
        lines = [line.strip() for line in self.said.splitlines() if not _EMPTY.search(line)]
        return " | ".join(lines[-_SAID:]) or "the program ssh does not say why"

    @property
    def wanted(self) -> tuple[str, ...]:
        """What a person could have answered; empty where nothing was asked for."""
        if _UNVERIFIED in self.said:
            is_open = self.strict == "ask" and _CHANGED not in self.said
            return (f"whether the host key of {self.host_key_name} is right",) if is_open else ()
        methods = _METHODS.search(self.said)
        asked = methods[1].split(",") if methods else []
        answers = [f"the passphrase of {key}" for key in self.locked]
        answers += [answer for method, answer in _BY_A_PERSON.items() if method in asked]
        return tuple(answers)

    @property
    def unanswered(self) -> tuple[str, ...]:
        """What the prompter of this attempt refused to ask."""
        return self.wanted if self.obstacle and not self.is_batch else ()


def offending_key(said: str) -> tuple[str, int] | None:
    """Find the place of the known host key that another one contradicts: a file and a line."""
    found = _OFFENDING.search(said)
    return (found[1], int(found[2])) if found else None


def is_refusal(said: str) -> bool:
    """Tell whether the host, or one on the way, refused to log us in."""
    return _REFUSED.search(said) is not None


def config_error(host: str, said: str) -> OptionError:
    """Say that ``ssh`` cannot use its options or config files, in its own words, which name file and line."""
    words = Evidence("", "", said).words
    return OptionError(f"ssh cannot use the SSH options of {host}: {words}", "correct them")


def login_error(evidence: Evidence) -> LinkError | OptionError:
    """Tell what the failure of a connection means for the person.

    What is said of a host on the way comes first: the target then only sees a connection that ends.
    """
    unresolved = _UNRESOLVED.search(evidence.said)
    if unresolved:
        return ResolveError(
            f"the host name {unresolved[1]} cannot be resolved: {unresolved[2].strip()}",
            "check its spelling, the network, or the VPN",
        )
    if not evidence.is_connecting:
        return config_error(evidence.where, evidence.said)
    if _UNVERIFIED in evidence.said:
        return _changed(evidence) if _CHANGED in evidence.said else _unknown(evidence)
    if is_refusal(evidence.said):
        return _refused(evidence)
    if _UNLIKE.search(evidence.said):
        return NegotiationError(f"{evidence.where} and ssh cannot agree: {evidence.words}")
    return _unreachable(evidence)


def changed_key_warning(evidence: Evidence) -> str | None:
    """Say that ``ssh`` went on although the host has another key; None where that is not so."""
    if _CHANGED not in evidence.said or _UNVERIFIED in evidence.said:
        return None
    return (
        f"{_change(evidence)}; connecting all the same, as StrictHostKeyChecking=no asks,"
        " without passwords and without forwarding the agent"
    )


def _change(evidence: Evidence) -> str:
    sent = _SENT.search(evidence.said)
    found = f"{sent[1]} {sent[2]}" if sent else evidence.fingerprint or "another one"
    place = offending_key(evidence.said)
    known = evidence.known or (f"{place[0]}:{place[1]}" if place else "another one")
    return f"the host key of {evidence.host_key_name} has changed: known is {known}, the host sent {found}"


def _changed(evidence: Evidence) -> HostKeyError:
    return HostKeyError(
        _change(evidence),
        "the connection may be intercepted: ask the site before you remove the old key with"
        f" ssh-keygen -R '{evidence.host_key_name}'",
    )


def _unknown(evidence: Evidence) -> HostKeyError:
    if "REVOKED HOST KEY" in evidence.said:
        return HostKeyError(f"the host key of {evidence.host_key_name} is revoked")
    more = f", and {evidence.obstacle}" if evidence.obstacle else ""
    return HostKeyError(
        f"the host key of {evidence.host_key_name} is unknown, or was not accepted:"
        f" {evidence.fingerprint or evidence.words}{more}",
        "compare it with what the site publishes, then connect once by ssh to record it,"
        " or pass -o StrictHostKeyChecking=accept-new",
        unanswered=evidence.unanswered,
    )


def _refused(evidence: Evidence) -> AuthenticationError:
    what = f"{evidence.where} refuses to log us in: {evidence.words}"
    hint = "check the user name and the keys: ssh -v to the same host tells more"
    if evidence.wanted and evidence.obstacle:
        what += f"; the host would take {' or '.join(evidence.wanted)}, but {evidence.obstacle}"
    elif evidence.wanted:
        hint = "check the user name and what you typed"
    if evidence.locked:
        what += f"; the private key {', '.join(evidence.locked)} needs a passphrase"
        hint = "load it into an agent with ssh-add"
    return AuthenticationError(what, hint, unanswered=evidence.unanswered)


def _unreachable(evidence: Evidence) -> UnreachableError:
    words = evidence.words
    if _TIMED_OUT.search(words):
        words = f"no answer within {evidence.timeout:g} s ({words})"
    return UnreachableError(
        f"cannot connect to {evidence.where}: {words}", "check host, port, network, or the VPN"
    )
