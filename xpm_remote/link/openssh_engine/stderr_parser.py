"""The stderr of the program ``ssh``, which has the remote command's stderr, too.

At DEBUG1 ``ssh`` reports, in words that have not changed for many releases, its progress and whether an exit status is
the remote command's. Everything else, the remote's included, is kept for messages. Only the target is followed: the
output of an ``ssh`` that carries the connection from a jump host is not read. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar

from xpm_remote.link.observer import Attempt, AttemptOutcome, Observer, Step
from xpm_remote.link.remote.startup import STDERR_KEPT, RemoteExit
from xpm_remote.link.waits import Wait

SSH_FAILED = 255
"""The exit status of ``ssh`` after its own failure. A remote command may have the same."""

_DEBUG = re.compile(rb"debug[1-3]: ")
# The statistics of the transfer, which have no "debug" before them.
_STATISTICS = re.compile(rb"Transferred: sent \d+, received |Bytes per second: sent [\d.]+, ")
_LOGGED_IN = re.compile(rb"Authenticated to .* using |Authenticated to \S+ \(")
_ASKS = ("Next authentication method: password", "Next authentication method: keyboard-interactive")
_CONNECTING = ("Connecting to ", "Executing proxy command", "Setting up multiplex")
_SHARED = "mux_client_request_session: master session id"
_SENT = "Sending command: "
_ENTERED = "Entering interactive session"
# Not a line of progress.
_FULL = re.compile(rb"mux_client_request_session: session request failed: ")
_MASTER_ENDED = "Control master terminated unexpectedly"
_STATUS_TOLD = re.compile(
    r"client_input_channel_req: channel \d+ rtype exit-status|Received exit status from master"
)
_SIGNAL_TOLD = re.compile(r"client_input_channel_req: channel (\d+) rtype exit-signal")
_NEW_CHANNEL = re.compile(r"channel (\d+): new ")
_CHANNEL = re.compile(re.escape(_SHARED) + r":? (\d+)")
_HOST_KEY = re.compile(r"Server host key: (\S+ SHA256:\S+)")
_LOSS = re.compile(
    r"Connection .*(?:closed|reset|timed out|corrupt)|Timeout, server .* not responding"
    r"|client_loop: |Received disconnect|Disconnected from|Read from remote host|Write failed|Bad packet length"
    r"|Corrupted MAC|ssh_dispatch_run_fatal"
)


# From ssh itself, after the login: MaxSessions 0, or a ControlPath that cannot be made.
_REFUSAL = re.compile(r"^channel \d+: open failed: |^unix_listener: |^ControlPath ")
# But what is of no consequence.
_ANYTHING = re.compile(r"^(?!Warning: Permanently added |Connection to .* closed\.$).*\S")
# An ssh that carries the connection shows what the jump host does, and its own words, which are in the error.
_OWN_WORDS = re.compile(
    r"Warning: |@{9}|channel \d+: |stdio forwarding failed|ssh: |kex_|Connection |ssh_|Host key |Permission denied"
    r"|Received disconnect|Disconnected from|Timeout, |client_loop|Load key |Offending |Add correct host key"
)
_BEFORE_GREETING = re.compile(r"kex_exchange_identification: banner line \d+: (.*)")


class StderrParser:
    """Reads the stderr of ``ssh``.

    Attributes:
        is_connecting: Whether it has accepted its options and tries to reach the host.
        is_greeted: Whether the host itself has answered, through all jump hosts.
        is_served: Whether the login has begun.
        shown: What the host has shown since then, until the login: banners, and texts between questions; and what jump
            hosts have shown before.
        is_asking: Whether it has reached a login method that asks a person.
        is_logged_in: Whether the host, or a ControlMaster, has accepted the login.
        is_sent: Whether one of them has a channel for the command.
        is_master: Whether it carries the commands of others, without one of its own.
        is_full: Whether a ControlMaster was refused a channel for the command; ``refusal``: in which words.
        channel: The number of the channel of a ControlMaster that the command has; None if it has none.
        signalled: The channels whose commands were ended by a signal.
        is_master_lost: Whether a ControlMaster has ended, or has ended the session.
        fingerprint: Kind and fingerprint of the host's key, once it was sent.
    """

    def __init__(self) -> None:
        self.is_connecting = False
        self.is_greeted = False
        self.is_served = False
        self.shown: list[str] = []
        self.is_asking = False
        self.is_logged_in = False
        self.is_sent = False
        self.fingerprint: str | None = None
        self._status_told = False
        self.channel: int | None = None
        self.signalled: set[int] = set()
        self.is_master = False
        self.is_full = False
        self.refusal = ""
        self.is_master_lost = False
        self._kept = bytearray()
        self._partial = b""
        self._is_carried = False
        self._has_warned = False

    @property
    def stderr(self) -> str:
        """The end of the output that is not progress of the connection."""
        kept = (bytes(self._kept) + self._partial)[-STDERR_KEPT:]
        return kept.replace(b"\r\n", b"\n").decode("utf-8", "backslashreplace")

    def feed(self, data: bytes) -> tuple[list[str], list[str]]:
        """Read bytes; return the lines that they complete: those of progress, and the others."""
        *lines, partial = (self._partial + data).split(b"\n")
        progress: list[str] = []
        others: list[str] = []
        for line in lines:
            before, told = _split(line)
            if before:
                full = None if self.is_sent else _FULL.match(before)
                if full is not None:
                    self.is_full, self.refusal = True, _text(before[full.end() :])
                self._keep(before + (b"" if told else b"\n"))
                others.append(_text(before))
                if self.is_served and not self.is_logged_in:
                    self.shown.append(_text(before))
                elif self._is_carried and not self.is_greeted:
                    self._show_carrier(_text(before))
            if told:
                self._note(_text(told))
                progress.append(_text(told))
        if len(partial) > STDERR_KEPT:
            self._keep(partial)
            partial = b""
        self._partial = partial
        return progress, others

    def exit(self, status: int) -> RemoteExit:
        """Return the end of the remote command.

        Args:
            status: The exit status of ``ssh``; negative if a signal ended it.
        """
        if self._status_told:
            return RemoteExit(status, self.stderr, None)
        if self.signalled:
            return RemoteExit(None, self.stderr, None)
        if status < 0:
            return RemoteExit(None, self.stderr, f"the program ssh was ended by signal {-status}")
        if status == SSH_FAILED:
            refusal = self._last(_REFUSAL)
            return RemoteExit(None, self.stderr, refusal or self._loss(), refusal is not None)
        return RemoteExit(status, self.stderr, None)

    def _loss(self) -> str:
        if self.is_master_lost:
            return "the ControlMaster has ended, or has ended the session"
        told = self._last(_LOSS) or self._last(_ANYTHING)
        return told or "the program ssh does not say why"

    def _last(self, pattern: re.Pattern[str]) -> str | None:
        lines = (line.strip() for line in reversed(self.stderr.splitlines()))
        return next((line for line in lines if pattern.search(line)), None)

    def _show_carrier(self, line: str) -> None:
        """Show a line of an ssh that carries the connection, if it is the jump host's; its own are in the error."""
        self._has_warned |= line.startswith("@" * 9)
        if not self._has_warned and _OWN_WORDS.match(line) is None:
            self.shown.append(line)

    def _keep(self, text: bytes) -> None:
        self._kept += text
        del self._kept[:-STDERR_KEPT]

    def _note(self, line: str) -> None:
        said = line.partition(": ")[2]
        self.is_connecting |= said.startswith(_CONNECTING)
        self._is_carried |= said.startswith("Executing proxy command")
        self.is_greeted |= said.startswith("Remote protocol version ")
        self.is_served |= said.startswith("SSH2_MSG_SERVICE_ACCEPT received")
        self.is_asking |= said.startswith(_ASKS)
        self.is_logged_in |= line.startswith("Authenticated to ") or said.startswith(_SHARED)
        self.is_sent |= said.startswith((_SENT, _SHARED))
        self.is_master |= said.startswith(_ENTERED)
        self.is_master_lost |= said.startswith(_MASTER_ENDED)
        self._status_told |= _STATUS_TOLD.match(said) is not None
        signalled = _SIGNAL_TOLD.match(said)
        if signalled is not None:
            self.signalled.add(int(signalled[1]))
        new = _NEW_CHANNEL.match(said)
        if new is not None:
            self.signalled.discard(int(new[1]))  # of a command before
        channel = _CHANNEL.match(said)
        if channel is not None:
            self.channel = int(channel[1])
        refusal = _BEFORE_GREETING.match(said)
        if refusal is not None:
            # Not a banner: some servers say in this way that they are busy, or have banned us.
            self._keep(refusal[1].encode() + b"\n")
        key = _HOST_KEY.match(said)
        if key is not None:
            self.fingerprint = key[1]


def _split(line: bytes) -> tuple[bytes, bytes]:
    """Split a line into the remote's unfinished line and the words of ``ssh``; either may be empty."""
    line = line.removesuffix(b"\r")
    if _STATISTICS.match(line) or _LOGGED_IN.match(line):
        return b"", line
    told = _DEBUG.search(line)
    return (line, b"") if told is None else (line[: told.start()], line[told.start() :])


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")


_KEY = re.compile(r"(?P<place>.+?) (?P<kind>\S+) (?P<print>SHA256:\S+)(?P<more>.*)")
_METHOD = "publickey"
_BY_A_PERSON = ("password", "keyboard-interactive")


class StepParser:
    """Reports the progress of ``ssh`` to an observer.

    Args:
        observer: Receives the steps.
        host: Host and port.
        clock: Returns seconds, of any monotonic clock.
        waits: Called with what is waited for next; with None where a person may be asked.
        is_locked: Returns whether a private key needs a passphrase.
    """

    def __init__(
        self,
        observer: Observer,
        host: str,
        clock: Callable[[], float],
        waits: Callable[[Wait | None], None] = lambda _: None,
        is_locked: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._observer = observer
        self._waits = waits
        self._is_locked = is_locked
        self._host = host
        self._clock = clock
        self._step: Step | None = None
        self._addresses: list[str] = []
        self._is_offered = False
        self._method = ""
        self._identity = ""
        self._began = 0.0
        self.round_trip: float | None = None
        observer.enter(Step.RESOLVE, host)

    def take(self, line: str) -> None:
        """Read a line of progress."""
        said = re.sub(r"^debug\d: ", "", line)
        for pattern, read in self._READERS:
            found = re.match(pattern, said)
            if found is not None:
                read(self, found)
                return

    def shown(self) -> None:
        """Note that the host has shown something, perhaps where to sign in: the login may take longer."""
        self._waits(Wait.LOGIN)

    def _noted(self, found: re.Match[str]) -> None:
        for name, value in found.groupdict().items():
            self._observer.note(name, value)

    def _connecting(self, found: re.Match[str]) -> None:
        self._addresses.append(found["address"])
        if self._step is None:
            self._observer.note("addresses", self._addresses)
            self._enter(Step.TCP)
        self._observer.note("address", found["address"])
        self._began = self._clock()
        self._waits(Wait.TCP)

    def _carried(self, found: re.Match[str]) -> None:
        why = f"the connection is carried by a {found['by']}"
        self._observer.note("way", why)
        self._observer.leave_out(Step.TCP, self._host, why)
        self._enter(Step.HOST_KEY)
        self._waits(Wait.GREETING)

    def _connected(self, _: re.Match[str]) -> None:
        self.round_trip = self._clock() - self._began
        self._waits(Wait.GREETING)

    def _keyed(self, found: re.Match[str]) -> None:
        self._noted(found)
        self._waits(None)  # ssh may ask whether it is right

    def _known(self, _: re.Match[str]) -> None:
        self._waits(Wait.KEY_EXCHANGE)

    def _signing(self, found: re.Match[str]) -> None:
        key = _KEY.match(found["key"])
        is_locked = key is not None and "agent" not in key["more"] and self._is_locked(key["place"])
        self._waits(None if is_locked else Wait.LOGIN)  # ssh asks for the passphrase

    def _greeted(self, found: re.Match[str]) -> None:
        self._noted(found)
        self._waits(Wait.KEY_EXCHANGE)
        if self._step is not Step.HOST_KEY:
            self._enter(Step.HOST_KEY)

    def _served(self, _: re.Match[str]) -> None:
        self._enter(Step.AUTHENTICATION)
        self._waits(Wait.LOGIN)

    def _offered(self, found: re.Match[str]) -> None:
        """Read the methods that the host offers: at first, and after each refusal."""
        methods = found["methods"].split(",")
        if not self._is_offered:
            self._is_offered = True
            self._observer.note("methods", methods)
        elif self._method and (self._method != _METHOD or self._identity):
            self._attempted(AttemptOutcome.REFUSED)
        self._identity = ""

    def _next_method(self, found: re.Match[str]) -> None:
        self._method, self._identity = found["method"], ""
        self._began = self._clock()
        self._waits(None if self._method in _BY_A_PERSON else Wait.LOGIN)

    def _offering(self, found: re.Match[str]) -> None:
        key = _KEY.match(found["key"])
        self._identity = found["key"]
        if key is not None:
            self._identity = f"{key['kind']} {key['print']} ({key['place']}){key['more']}"
        self._began = self._clock()

    def _partly(self, _: re.Match[str]) -> None:
        self._attempted(AttemptOutcome.PARTIAL)
        self._method = ""

    def _accepted(self, found: re.Match[str]) -> None:
        self._method = found["method"]
        self._attempted(AttemptOutcome.ACCEPTED)
        self._enter(Step.SHELL)
        self._waits(Wait.COMMAND)

    def _sharing(self, _: re.Match[str]) -> None:
        self._waits(Wait.COMMAND)

    def _shared(self, _: re.Match[str]) -> None:
        self.leave_out_login()

    def leave_out_login(self) -> None:
        """Report that a ControlMaster makes the login unnecessary."""
        why = "a ControlMaster has done it before"
        self._observer.note("way", why)
        for step in (Step.TCP, Step.HOST_KEY, Step.AUTHENTICATION):
            self._observer.leave_out(step, self._host, why)
        self._enter(Step.SHELL)

    def _enter(self, step: Step) -> None:
        self._step = step
        self._observer.enter(step, self._host)

    def _attempted(self, outcome: AttemptOutcome) -> None:
        seconds = self._clock() - self._began
        self._observer.attempted(Attempt(self._method, self._identity, outcome, seconds))

    _READERS: ClassVar[tuple[tuple[str, Callable[[StepParser, re.Match[str]], None]], ...]] = (
        (r"Connecting to \S+ \[(?P<address>[^]]+)\] port \d+", _connecting),
        (r"Connection established", _connected),
        (r"Executing (?P<by>proxy command: .*)", _carried),
        (r"(?:\w+: )?mux_client_request_session: master session id", _shared),
        (r"Remote protocol version \S+, remote software version (?P<greeting>.*)", _greeted),
        (r"Server host key: (?P<key>.*)", _keyed),
        (r"Host .* is known and matches ", _known),
        (r"SSH2_MSG_NEWKEYS sent", _known),
        (r"Server accepts key: (?P<key>.*)", _signing),
        (r"Found (?:\S+ )?key in (?P<known>.*)", _noted),
        (r"SSH2_MSG_SERVICE_ACCEPT received", _served),
        (r"Authentications that can continue: (?P<methods>\S+)", _offered),
        (r"Next authentication method: (?P<method>\S+)", _next_method),
        (r"Offering public key: (?P<key>.*)", _offering),
        (r"Authenticated using \S+ with partial success", _partly),
        (r'Authenticated to .* using "(?P<method>[^"]+)"', _accepted),
        (r"(?:\w+: )?mux_client_", _sharing),
    )
