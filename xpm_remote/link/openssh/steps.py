"""The steps of a connection, told from what the program ``ssh`` says at DEBUG1.

Only the host itself is followed: what an ``ssh`` says that carries the connection from a jump host is its own affair.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from xpm_remote.link.observer import Attempt, Observer, Outcome, Step

_KEY = re.compile(r"(?P<place>.+?) (?P<kind>\S+) (?P<print>SHA256:\S+)(?P<more>.*)")
_METHOD = "publickey"

_LINES = {
    "connecting": r"Connecting to \S+ \[(?P<address>[^]]+)\] port \d+",
    "carried": r"Executing (?P<by>proxy command: .*)",
    "shared": r"(?:\w+: )?mux_client_request_session: master session id",
    "greeted": r"Remote protocol version \S+, remote software version (?P<greeting>.*)",
    "host_key": r"Server host key: (?P<key>.*)",
    "known": r"Found (?:\S+ )?key in (?P<place>.*)",
    "served": r"SSH2_MSG_SERVICE_ACCEPT received",
    "offered": r"Authentications that can continue: (?P<methods>\S+)",
    "next_method": r"Next authentication method: (?P<method>\S+)",
    "offering": r"Offering public key: (?P<key>.*)",
    "partly": r"Authenticated using \S+ with partial success",
    "accepted": r'Authenticated to .* using "(?P<method>[^"]+)"',
}
_PATTERNS = {name: re.compile(pattern) for name, pattern in _LINES.items()}


class OpensshSteps:
    """Tells an observer how far ``ssh`` has come.

    Args:
        observer: Is told.
        host: Host and port.
        clock: Gives seconds, of any clock that does not go back.
    """

    def __init__(self, observer: Observer, host: str, clock: Callable[[], float]) -> None:
        self._observer = observer
        self._host = host
        self._clock = clock
        self._step: Step | None = None
        self._addresses: list[str] = []
        self._is_offered = False
        self._method = ""
        self._identity = ""
        self._began = 0.0
        self._readers: dict[str, Callable[[re.Match[str]], None]] = {
            "connecting": self._connecting,
            "carried": self._carried,
            "shared": self._shared,
            "greeted": self._greeted,
            "host_key": self._host_key,
            "known": self._known,
            "served": self._served,
            "offered": self._offered,
            "next_method": self._next_method,
            "offering": self._offering,
            "partly": self._partly,
            "accepted": self._accepted,
        }
        observer.enter(Step.RESOLVE, host)

    def take(self, line: str) -> None:
        """Take a line of progress; one that tells of no step changes nothing."""
        said = re.sub(r"^debug\d: ", "", line)
        for name, pattern in _PATTERNS.items():
            found = pattern.match(said)
            if found is not None:
                self._readers[name](found)
                return

    def _connecting(self, found: re.Match[str]) -> None:
        """An address is tried; more than one if the first does not answer."""
        self._addresses.append(found["address"])
        if self._step is None:
            self._observer.note("addresses", self._addresses)
            self._enter(Step.TCP)
        self._observer.note("address", found["address"])

    def _carried(self, found: re.Match[str]) -> None:
        why = f"the connection is carried by a {found['by']}"
        self._observer.note("way", why)
        self._observer.leave_out(Step.TCP, self._host, why)
        self._enter(Step.HOST_KEY)

    def _greeted(self, found: re.Match[str]) -> None:
        self._observer.note("greeting", found["greeting"])
        if self._step is not Step.HOST_KEY:
            self._enter(Step.HOST_KEY)

    def _host_key(self, found: re.Match[str]) -> None:
        self._observer.note("key", found["key"])

    def _known(self, found: re.Match[str]) -> None:
        self._observer.note("known", found["place"])

    def _served(self, _: re.Match[str]) -> None:
        self._enter(Step.AUTHENTICATION)

    def _offered(self, found: re.Match[str]) -> None:
        """The host tells what it would take: after the first question, or because it has refused something."""
        methods = found["methods"].split(",")
        if not self._is_offered:
            self._is_offered = True
            self._observer.note("methods", methods)
        elif self._method and (self._method != _METHOD or self._identity):
            self._attempted(Outcome.REFUSED)
        self._identity = ""

    def _next_method(self, found: re.Match[str]) -> None:
        self._method, self._identity = found["method"], ""
        self._began = self._clock()

    def _offering(self, found: re.Match[str]) -> None:
        key = _KEY.match(found["key"])
        self._identity = found["key"]
        if key is not None:
            self._identity = f"{key['kind']} {key['print']} ({key['place']}){key['more']}"
        self._began = self._clock()

    def _partly(self, _: re.Match[str]) -> None:
        self._attempted(Outcome.PARTIAL)
        self._method = ""

    def _accepted(self, found: re.Match[str]) -> None:
        self._method = found["method"]
        self._attempted(Outcome.ACCEPTED)
        self._enter(Step.SHELL)

    def _shared(self, _: re.Match[str]) -> None:
        why = "a ControlMaster has done it before"
        self._observer.note("way", why)
        for step in (Step.TCP, Step.HOST_KEY, Step.AUTHENTICATION):
            self._observer.leave_out(step, self._host, why)
        self._enter(Step.SHELL)

    def _enter(self, step: Step) -> None:
        self._step = step
        self._observer.enter(step, self._host)

    def _attempted(self, outcome: Outcome) -> None:
        seconds = self._clock() - self._began
        self._observer.attempted(Attempt(self._method, self._identity, outcome, seconds))
