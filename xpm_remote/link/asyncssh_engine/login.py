"""The login to a host: its questions and their answers, what an observer gets of it, and the errors of a failed one."""

from __future__ import annotations

import base64
import hashlib
import math
import time
from collections.abc import Callable, Sequence

import asyncssh

from xpm_remote.errors import (
    AuthenticationError,
    LinkError,
    NegotiationError,
    OptionError,
    UnreachableError,
)
from xpm_remote.link.asyncssh_engine.algorithms import found_disagreement, library_abilities
from xpm_remote.link.asyncssh_engine.encodings import read_any_questions
from xpm_remote.link.asyncssh_engine.host_keys import HostKeyPolicy
from xpm_remote.link.asyncssh_engine.keys import offer_once
from xpm_remote.link.course import Course
from xpm_remote.link.key_files import is_locked
from xpm_remote.link.known_hosts import split_string
from xpm_remote.link.observer import Attempt, AttemptOutcome, Observer, Step
from xpm_remote.link.prompts import Prompter, UnansweredError, first_line, tell_once
from xpm_remote.link.refusals import closed_login, half_admitted, last_words, not_forwarded
from xpm_remote.link.waits import Wait


class LoginClient(asyncssh.SSHClient):
    """Answers the library's requests while it connects, where necessary by asking a person.

    Args:
        policy: Decides about host keys.
        who: The user and the host, for questions: ``user@host``.
        prompter: Asks the person, or refuses.
        attempts: The number of attempts at a password, and at an interactive login.
        watch: Follows the login for an observer.
        course: Follows the waits.
        greeted: Called with the server's greeting.
        via: The jump host that leads to the host.

    Attributes:
        unanswered: What the host asked for without an answer, and why.
        questions: The first lines of the questions that were refused.
        is_answered: Whether any question was answered.
        said: The last text that the host has shown.
        connection: The connection, once it is made.
        has_begun: Whether the host is trusted, and the login has begun.
    """

    def __init__(
        self,
        policy: HostKeyPolicy,
        who: str,
        prompter: Prompter,
        *,
        attempts: int,
        watch: LoginWatch,
        course: Course,
        greeted: Callable[[str], None] = lambda _: None,
        via: str = "",
    ) -> None:
        self._policy = policy
        self._who = who
        self._prompter = prompter
        self._passwords = attempts
        self._interviews = attempts
        self._watch = watch
        self._course = course
        self._greeted = greeted
        self.via = via
        self.said = ""
        self.unanswered: dict[str, str] = {}
        self.questions: list[str] = []
        self.is_answered = False
        self.connection: asyncssh.SSHClientConnection | None = None
        self.has_begun = False

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Attach the watch to the connection, and have host keys weighed before the library checks them."""
        self.connection = conn
        self._watch.attach(conn)
        receive = conn._recv_version  # noqa: SLF001 - it drops what busy servers, or banning ones, say instead

        def receiving() -> bool:
            self._note_refusal(bytes(conn._inpbuf[:BANNER_KEPT]))  # noqa: SLF001
            return receive()

        conn._recv_handler = receiving  # noqa: SLF001
        if self.via:
            self._course.enter(Wait.GREETING)
        validate, note = conn.validate_server_host_key, conn.set_extra_info

        def noting(**facts: object) -> None:
            note(**facts)
            if "server_version" in facts:  # the library calls no one else when the server greets
                self._course.enter(Wait.KEY_EXCHANGE)
                self._greeted(str(facts["server_version"]))

        def weighing(data: bytes) -> asyncssh.SSHKey:
            return validate(self._policy.weigh(data))

        conn.validate_server_host_key = weighing  # type: ignore[method-assign,assignment]
        conn.set_extra_info = noting  # type: ignore[method-assign]

    def _note_refusal(self, data: bytes) -> None:
        """Keep a line that a host sends in the place of its greeting."""
        line, end, _ = data.partition(b"\n")
        if end and not line.startswith(b"SSH-"):
            self.said = line.decode("utf-8", "backslashreplace")

    def begin_auth(self, username: str) -> None:
        """Record that the host is trusted."""
        self.has_begun = True
        self._course.enter(Wait.LOGIN)
        self._watch.begin()

    def auth_banner_received(self, msg: str, lang: str) -> None:
        """Show the banner at once: it may ask to sign in elsewhere, with no question to follow."""
        self.said = msg
        self._watch.show_banner(msg)
        tell_once(self._prompter, self._who, msg)
        if _ADDRESS in msg and self._prompter.obstacle is None:
            self._course.enter(Wait.LOGIN, math.inf)

    @property
    def is_half_admitted(self) -> bool:
        """Whether the host has accepted a key, and asks for more."""
        return self._watch.is_half_admitted

    def auth_completed(self) -> None:
        """Record the success."""
        self._watch.succeed()

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Return whether an unknown host key is accepted."""
        return self._policy.accepts(addr, key)

    async def ask_passphrase(self, key: str, attempt: int) -> str:
        """Ask for a passphrase."""
        if attempt:
            self._prompter.tell("That is not its passphrase.")
        return await self._ask(f"the passphrase of {key}", f"Passphrase of the key {key}: ")

    async def password_auth_requested(self) -> str | None:
        """Ask for a password; return None after the last attempt."""
        if not self._passwords:
            return None
        if self.is_answered:
            self._prompter.tell("Permission denied, please try again.")
        self._passwords -= 1
        try:
            return await self._ask("a password", f"Password of {self._who}: ")
        except UnansweredError:
            return None

    def kbdint_auth_requested(self) -> str | None:
        """Begin an interactive login, unless no one can answer: its beginning may send the person a message."""
        obstacle = self._prompter.obstacle
        if obstacle is not None:
            self.unanswered["an interactive login"] = obstacle
        if obstacle is not None or not self._interviews:
            return None
        self._interviews -= 1
        self._course.leave()  # a confirmation on a telephone may come before the first question
        return ""

    async def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> Sequence[str] | None:
        """Show the host's texts and ask its questions."""
        for text in (name, instructions):
            if text.strip():
                self._prompter.tell(text)
        try:
            # With the host's name before it, so that a host cannot ask in the name of another.
            return [
                await self._ask(f"“{text.strip()}”", f"({self._who}) {text}", echo=echo)
                for text, echo in prompts
            ]
        except UnansweredError:
            return None

    async def _ask(self, what: str, question: str, *, echo: bool = False) -> str:
        self._course.leave()
        try:
            answer = await self._prompter.ask(question, echo=echo)
        except UnansweredError as error:
            self.unanswered[what] = str(error)
            self.questions.append(first_line(question))
            raise
        self.is_answered = True
        return answer


def explain_failure(
    error: Exception, where: str, client: LoginClient, keys: list[str]
) -> LinkError | OptionError:
    """Return our error for one of the library."""
    found = None if client.has_begun else found_disagreement(client.connection)
    if found is not None:
        allowed = library_abilities().algorithms[found.keyword]
        return found.error(where, allowed=allowed - set(found.ours))
    reason = getattr(error, "reason", None) or str(error) or type(error).__name__
    if isinstance(error, asyncssh.PermissionDenied):
        return _refused(where, _with_words(reason, client), client, keys)
    if isinstance(error, (asyncssh.KeyImportError, asyncssh.KeyEncryptionError)):
        return AuthenticationError(
            f"a private key for {where} cannot be used: {reason}",
            "load it into an agent with ssh-add, or name another with -i",
        )
    if isinstance(error, (asyncssh.Error, OSError)):
        return _ended(error, reason, where, client)
    return OptionError(f"the SSH options for {where}: {reason}")


def _ended(
    error: asyncssh.Error | OSError, reason: str, where: str, client: LoginClient
) -> LinkError | OptionError:
    """Return the error for a connection that has ended, or was never made."""
    if isinstance(error, asyncssh.ChannelOpenError):
        prohibited = error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
        kind = "administratively prohibited" if prohibited else "connect failed"
        return not_forwarded(client.via, where, kind, reason)
    # A host that closes at once may reset the connection, too.
    if isinstance(error, (asyncssh.ConnectionLost, OSError)) and client.said:
        return closed_login(where, client.said, has_begun=client.has_begun)
    if isinstance(error, (asyncssh.ConnectionLost, OSError)):
        return UnreachableError(
            f"{where} dropped the connection: {reason}", "the host may be busy; try again"
        )
    if not isinstance(error, asyncssh.DisconnectError):
        return OptionError(f"the SSH options for {where}: {reason}")
    if client.has_begun:
        return AuthenticationError(
            f"{where} ends the login: {_with_words(reason, client)}",
            "it may allow fewer keys than are tried: name one with -i and set IdentitiesOnly=yes",
        )
    return NegotiationError(f"{where} and we cannot agree: {reason}")


def _with_words(reason: str, client: LoginClient) -> str:
    words = last_words(client.said)
    return f"{reason} (the host says: {words})" if words else reason


def _refused(where: str, words: str, client: LoginClient, keys: list[str]) -> AuthenticationError:
    what = f"{where} refuses to log us in: {words}"
    unanswered: tuple[str, ...] = ()
    if client.unanswered:
        unanswered = tuple(dict.fromkeys(client.questions or client.unanswered))
        obstacle = ", ".join(dict.fromkeys(client.unanswered.values()))
        if client.is_half_admitted:
            told = half_admitted(where, client.unanswered, obstacle)
            return AuthenticationError(*told, unanswered=unanswered)
        what += f"; the host would take {' or '.join(client.unanswered)}, but {obstacle}"
    locked = [key for key in keys if is_locked(key)]
    if locked:
        what += f"; the private key {', '.join(locked)} needs a passphrase"
        hint = "load it into an agent with ssh-add"
    elif client.is_answered:
        hint = "check the user name and what you typed"
    else:
        hint = "check the user name and the keys: ssh -v to the same host tells more"
    return AuthenticationError(what, hint, unanswered=unanswered)


_ADDRESS = "://"
"""In a banner, it may be where a person is to sign in: then there is no time limit."""

BANNER_KEPT = 4096
"""Characters of the banner, the text that a host shows before the login, that are kept: a screenful."""

_CERTIFICATE = "-cert-v01@openssh.com"
_SOURCES = {"local": "a file", "agent": "the agent", "pkcs11": "a token"}
_KEY = "publickey"
_NONE = "none"
"""The method that asks for the list of the others."""


class LoginWatch:
    """Reports one login to an observer.

    The library does not tell its client which key it offers, nor that the host refused it. So two methods of its
    connection are wrapped; tests check that the library calls them as expected.

    Args:
        observer: Receives the attempts.
        host: Host and port.
        known: Returns the place of a host key in known_hosts; empty if it is unknown.

    Attributes:
        is_half_admitted: Whether the host has accepted a key, and asks for more.
    """

    def __init__(
        self, observer: Observer, host: str, known: Callable[[asyncssh.SSHKey], str]
    ) -> None:
        self._observer = observer
        self._host = host
        self._known = known
        self._connection: asyncssh.SSHClientConnection | None = None
        self.is_half_admitted = False
        self._method = ""
        self._identity = ""
        self._began = 0.0

    def attach(self, connection: asyncssh.SSHClientConnection) -> None:
        """Wrap the methods of a new connection."""
        self._connection = connection
        request, proceed = connection.public_key_auth_requested, connection.try_next_auth

        async def requested() -> asyncssh.SSHKeyPair | None:
            pair = await request()
            if pair is not None:
                offer_once(connection, pair)
                self._identity = describe_key(pair)
            return pair

        def proceeding(*, next_method: bool = False) -> None:
            if not next_method:  # else the method had nothing to try
                self._note_failure(connection)
            proceed(next_method=next_method)
            read_any_questions(connection)
            self._method = next(iter(connection.get_server_auth_methods()), "")
            self._identity = ""
            self._began = time.monotonic()

        connection.public_key_auth_requested = requested  # type: ignore[method-assign]
        connection.try_next_auth = proceeding  # type: ignore[method-assign]

    def begin(self) -> None:
        """Record the accepted host key and the beginning of the login."""
        connection = self._connection
        key = None if connection is None else connection.get_server_host_key()
        if connection is not None and key is not None:
            self._observer.note("key", f"{key.get_algorithm()} {key.get_fingerprint()}")
            self._observer.note("known", self._known(key))
        self._observer.enter(Step.AUTHENTICATION, self._host)
        self._began = time.monotonic()

    def show_banner(self, text: str) -> None:
        """Record the banner."""
        self._observer.note("banner", text[:BANNER_KEPT])

    def succeed(self) -> None:
        """Record the success of the last attempt."""
        self._report(AttemptOutcome.ACCEPTED)

    def _note_failure(self, connection: asyncssh.SSHClientConnection) -> None:
        methods = list(connection.get_server_auth_methods())
        if self._method == _NONE:
            self._observer.note("methods", methods)
        elif self._method:
            # A method that has succeeded, where others are required as well, is not offered again.
            is_refused = self._method in methods
            self.is_half_admitted |= self._method == _KEY and not is_refused
            self._report(AttemptOutcome.REFUSED if is_refused else AttemptOutcome.PARTIAL)

    def _report(self, outcome: AttemptOutcome) -> None:
        seconds = time.monotonic() - self._began
        self._observer.attempted(Attempt(self._method, self._identity, outcome, seconds))


def describe_key(pair: asyncssh.SSHKeyPair) -> str:
    """Return the kind of a key, its fingerprint unless it is a certificate, its comment and its source."""
    data = pair.public_data
    kind = split_string(data)[0].decode("ascii", "replace")
    words = [kind.removesuffix(_CERTIFICATE)]
    if kind.endswith(_CERTIFICATE):
        words.append("certificate")
    else:
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        words.append(f"SHA256:{digest}")
    source = _SOURCES.get(pair.get_key_type(), pair.get_key_type())
    comment = pair.get_comment(errors="backslashreplace") or ""
    return " ".join([*words, *([f"({comment})"] if comment else []), f"from {source}"])
