"""The errors for a failed connection of the program ``ssh``. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from xpm_remote.errors import (
    AuthenticationError,
    HostKeyError,
    LinkError,
    NegotiationError,
    OptionError,
    ResolveError,
    UnreachableError,
)
from xpm_remote.link.known_hosts import KnownHosts, fingerprint
from xpm_remote.link.negotiation import Disagreement
from xpm_remote.link.refusals import closed_login, half_admitted, not_forwarded

_UNRESOLVED = re.compile(r"ssh: Could not resolve hostname (\S+): (.*)")
_OFFENDING = re.compile(r"Offending (?:\S+ )?key in (.+):(\d+)", re.MULTILINE)
_SENT = re.compile(
    r"The fingerprint for the (\S+) key sent by the remote host is\s+(\S+?)\.?\s*$", re.M
)
_REFUSED = re.compile(
    r"Permission denied|Too many authentication failures|No more authentication methods"
)
_TOO_MANY = re.compile(r"Too many authentication failures")
_HALF_ADMITTED = 'Authenticated using "publickey" with partial success.'
_UNVERIFIED = "Host key verification failed"
_CHANGED = "HOST IDENTIFICATION HAS CHANGED"
_METHODS = re.compile(r"Permission denied \((.*)\)")
_UNLIKE = re.compile(
    r"Unable to negotiate|Protocol major versions differ|Bad remote protocol version|banner line contains invalid"
    r"|invalid characters|Bad packet length|Corrupted MAC|incorrect signature|no matching|line too long"
)
_NO_MATCH = re.compile(
    r"no matching (?P<kind>key exchange method|host key type|cipher|MAC) found\. Their offer: (?P<theirs>\S+)"
)
_KEYWORDS = {
    "key exchange method": "KexAlgorithms",
    "host key type": "HostKeyAlgorithms",
    "cipher": "Ciphers",
    "MAC": "MACs",
}
_TIMED_OUT = re.compile(r"timed out", re.IGNORECASE)
# Lines that report the end of a connection without its cause.
_EMPTY = re.compile(r"Connection closed by UNKNOWN port|^\s*$")
_BY_A_PERSON = {"password": "a password", "keyboard-interactive": "an interactive login"}
_SAID = 3
_CLOSED = re.compile(r"Connection (?:closed|reset) by UNKNOWN port")
_NOT_FORWARDED = re.compile(r"channel \d+: open failed: ([^:\n]+): (.*)")
# In the place of a greeting, by OpenSSH 9.8 and later.
_BUSY = re.compile(r"^(?:Not allowed at this time|Exceeded MaxStartups)", re.M)
_BUSY_ENDED = re.compile(r"^kex_exchange_identification: .*$", re.M)
_ENDED = re.compile(
    r"^.*(?:Connection (?:closed|reset) by|Received disconnect from|Disconnected from) .*$", re.M
)
_EXCHANGE = "kex_exchange_identification: "
_NAMED_KEY = re.compile(
    r"Host key for (\S+) has changed|host key is known for (\S+) and you|host key for (\S+) is marked as revoked"
    r"|authenticity of host '(\S+) \("
)
_NO_KNOWN_HOSTS = KnownHosts("")


@dataclass(frozen=True)
class Evidence:
    """The facts about a failed login.

    Attributes:
        where: Host and port.
        host_key_name: The host as named in known_hosts.
        said: The stderr of ``ssh``, without its progress.
        is_connecting: Whether ``ssh`` had accepted its options.
        is_served: Whether the login has begun.
        jumps: The jump hosts, of which one may be at fault; empty if the host itself has answered.
        timeout: The seconds that ``ssh`` had to reach the host.
        strict: ``StrictHostKeyChecking`` as written by ``ssh -G``.
        obstacle: Why no one could be asked; None if someone could, or no question was necessary.
        fingerprint: Kind and fingerprint of the host's key, if it was sent.
        known: The fingerprint of the key that is known instead, and its place.
        known_hosts: What the known_hosts files hold about the host.
        locked: Private keys that need a passphrase.
        is_batch: Whether the options forbid questions.
        algorithms: What ssh offers, by keyword.
    """

    where: str
    host_key_name: str
    said: str
    is_connecting: bool = True
    is_served: bool = False
    jumps: tuple[str, ...] = ()
    timeout: float = 0
    strict: str = "ask"
    obstacle: str | None = None
    fingerprint: str | None = None
    known: str | None = None
    known_hosts: KnownHosts = _NO_KNOWN_HOSTS
    locked: tuple[str, ...] = ()
    is_batch: bool = False
    algorithms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def at_fault(self) -> int | None:
        """The number of the jump host that failed; None if it is the host itself, or unknown.

        Each ``ssh`` behind the one that failed reports only that its connection was closed, without a name. Without any
        reason before that, the host to which the first of them connects has closed it.
        """
        closed = len(_CLOSED.findall(self.said))
        if not closed:
            return None
        lines = (line for line in self.said.splitlines() if line.strip())
        has_reason = not all(_CLOSED.search(line) or _EXCHANGE in line for line in lines)
        number = max(0, len(self.jumps) - closed + (not has_reason))
        return number if number < len(self.jumps) else None

    def way(self, number: int) -> tuple[str, str]:
        """Return a jump host and what it leads to."""
        after = self.jumps[number + 1 :]
        return self.jumps[number], after[0] if after else self.where

    def of_jump(self, number: int) -> Evidence:
        """Return the facts about a jump host."""
        jump = self.jumps[number]
        named = _NAMED_KEY.search(self.said)
        name = next(filter(None, named.groups()), jump) if named else jump
        return replace(
            self,
            where=f"the jump host {jump}",
            host_key_name=name,
            fingerprint=None,
            known_hosts=_NO_KNOWN_HOSTS,
            algorithms={},
        )

    @property
    def words(self) -> str:
        """The end of the stderr, as one line."""
        lines = [line.strip() for line in self.said.splitlines() if not _EMPTY.search(line)]
        return " | ".join(lines[-_SAID:]) or "the program ssh does not say why"

    @property
    def wanted(self) -> tuple[str, ...]:
        """What a person could have answered; empty if the host asked for nothing."""
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
        """The questions that the prompter of this attempt refused."""
        return self.wanted if self.obstacle and not self.is_batch else ()


def offending_key(said: str) -> tuple[str, int] | None:
    """Return the place, file and line, of the known host key from which the sent one differs; None if there is none."""
    found = _OFFENDING.search(said)
    return (found[1], int(found[2])) if found else None


def is_revoked(said: str) -> bool:
    """Return whether a host showed a revoked key, with which ssh goes on if ``StrictHostKeyChecking=no``."""
    return "REVOKED HOST KEY DETECTED" in said


def is_refusal(said: str) -> bool:
    """Return whether the host, or a jump host, refused the login."""
    return _REFUSED.search(said) is not None


def config_error(host: str, said: str) -> OptionError:
    """Return the error for options or config files that ``ssh`` cannot use; its message names file and line."""
    words = Evidence("", "", said).words
    return OptionError(f"ssh cannot use the SSH options of {host}: {words}", "correct them")


def login_error(evidence: Evidence) -> LinkError | OptionError:
    """Return the error for a failed connection.

    A jump host's failure comes first: the target then reports only that a connection ended.
    """
    unresolved = _UNRESOLVED.search(evidence.said)
    if unresolved:
        return ResolveError(
            f"the host name {unresolved[1]} cannot be resolved: {unresolved[2].strip()}",
            "check its spelling, the network, or the VPN",
        )
    if not evidence.is_connecting:
        return config_error(evidence.where, evidence.said)
    if evidence.at_fault is not None:
        refused = _NOT_FORWARDED.search(evidence.said)
        if refused is not None:
            return not_forwarded(*evidence.way(evidence.at_fault), refused[1], refused[2])
        return _error_of(evidence.of_jump(evidence.at_fault))
    return _error_of(evidence)


def _error_of(evidence: Evidence) -> LinkError:
    """Return the error for the host, or the jump host, that failed."""
    if is_revoked(evidence.said):
        return _revoked(evidence)
    if _UNVERIFIED in evidence.said:
        return _changed(evidence) if _CHANGED in evidence.said else _unknown(evidence)
    if is_refusal(evidence.said):
        return _refused(evidence)
    unmatched = _NO_MATCH.search(evidence.said)
    if unmatched is not None:
        return _disagreement(evidence, unmatched["kind"], unmatched["theirs"])
    if _UNLIKE.search(evidence.said):
        return NegotiationError(f"{evidence.where} and ssh cannot agree: {evidence.words}")
    shown = _ENDED.sub("", evidence.said)
    if evidence.is_served and shown.strip() and shown != evidence.said:
        return closed_login(evidence.where, shown)
    if _BUSY.search(evidence.said):
        said = _ENDED.sub("", _BUSY_ENDED.sub("", evidence.said))
        return closed_login(evidence.where, said, has_begun=False)
    return _unreachable(evidence)


def changed_key_warning(evidence: Evidence) -> str | None:
    """Return the warning that ``ssh`` has accepted a changed host key; None if it has not."""
    if _CHANGED not in evidence.said or _UNVERIFIED in evidence.said:
        return None
    return (
        f"{_change(evidence)}; connecting all the same, as StrictHostKeyChecking=no asks,"
        " without passwords and without forwarding the agent"
    )


def _disagreement(evidence: Evidence, kind: str, offer: str) -> NegotiationError:
    keyword, theirs = _KEYWORDS[kind], tuple(offer.split(","))
    ours = evidence.algorithms.get(keyword, ())
    hint = f"if the host has no better one, allow its: -o {keyword}=+{theirs[0]}"
    return Disagreement(keyword, ours, theirs).error(evidence.where, hint)


def _change(evidence: Evidence) -> str:
    sent = _SENT.search(evidence.said)
    found = f"{sent[1]} {sent[2]}" if sent else evidence.fingerprint or "another one"
    place = offending_key(evidence.said)
    known = evidence.known or (f"{place[0]}:{place[1]}" if place else "another one")
    # Where a changed key is accepted, ssh does not name the host; of a jump host we know no fingerprint.
    own = evidence.fingerprint
    is_jump = sent is not None and own is not None and sent[2] not in own
    name = "a jump host" if is_jump else evidence.host_key_name
    return f"the host key of {name} has changed: known is {known}, the host sent {found}"


def _changed(evidence: Evidence) -> HostKeyError:
    return HostKeyError(
        _change(evidence),
        "the connection may be intercepted: ask the site before you remove the old key with"
        f" ssh-keygen -R '{evidence.host_key_name}'",
    )


def _revoked(evidence: Evidence) -> HostKeyError:
    for each in evidence.known_hosts.revoked:
        if f"{each.kind} {fingerprint(each.data)}" == evidence.fingerprint:
            return evidence.known_hosts.revoked_error(each)
    return HostKeyError(
        f"the host key of {evidence.host_key_name} is revoked",
        "another machine may have it: ask the site for the new key",
    )


def _unknown(evidence: Evidence) -> HostKeyError:
    if evidence.known_hosts.flaws:
        return evidence.known_hosts.flaw_error()
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
    if _TOO_MANY.search(evidence.said):
        hint = "it allows fewer keys than are tried: name one with -i and set IdentitiesOnly=yes"
        return AuthenticationError(what, hint)
    if evidence.wanted and evidence.obstacle and _HALF_ADMITTED in evidence.said:
        told = half_admitted(evidence.where, evidence.wanted, evidence.obstacle)
        return AuthenticationError(*told, unanswered=evidence.unanswered)
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
