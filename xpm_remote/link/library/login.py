"""Proving who we are, and what it means when the host does not believe it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncssh

from xpm_remote.errors import (
    AuthenticationError,
    LinkError,
    NegotiationError,
    OptionError,
    UnreachableError,
)
from xpm_remote.link.config.own_keywords import DEFAULT_PROMPTS
from xpm_remote.link.library.host_keys import HostKeyPolicy
from xpm_remote.link.library.locked_keys import LockedKey, is_locked
from xpm_remote.link.library.watching import LoginWatch
from xpm_remote.link.prompts import Prompter, UnansweredError, first_line

PASSPHRASE_ATTEMPTS = 3
"""Attempts at a key's passphrase, as with ssh."""


class LoginClient(asyncssh.SSHClient):
    """Answers what the library asks while it connects, by asking the person where it must.

    Args:
        policy: Decides about host keys.
        who: Whom we log in as and where, for the person: ``user@host``.
        prompter: The person, or nobody.
        locked: Private keys that a passphrase locks.
        attempts: How often each way to log in is asked for.
        watch: Follows the login.

    Attributes:
        person: Set once a person takes part: how long that takes is not ours to say.
        unanswered: What the host asked for that nobody answered, and why.
        questions: The questions for that, as far as it came to them.
        is_answered: Whether anything was answered.
    """

    def __init__(
        self,
        policy: HostKeyPolicy,
        who: str,
        prompter: Prompter,
        *,
        locked: Sequence[LockedKey] = (),
        attempts: int = DEFAULT_PROMPTS,
        watch: LoginWatch | None = None,
    ) -> None:
        self._policy = policy
        self._who = who
        self._prompter = prompter
        self._locked = list(locked)
        self._passwords = attempts
        self._interviews = attempts
        self._watch = watch
        self.person = asyncio.Event()
        self.unanswered: dict[str, str] = {}
        self.questions: list[str] = []
        self.is_answered = False

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Have the login followed."""
        if self._watch is not None:
            self._watch.attach(conn)

    def begin_auth(self, username: str) -> None:
        """Take note that the host is trusted."""
        if self._watch is not None:
            self._watch.begin()

    def auth_banner_received(self, msg: str, lang: str) -> None:
        """Take note of what the host says to everybody."""
        if self._watch is not None:
            self._watch.show_banner(msg)

    def auth_completed(self) -> None:
        """Take note that we are logged in."""
        if self._watch is not None:
            self._watch.succeed()

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Decide about a key that is not known."""
        return self._policy.accepts(addr, key)

    def public_key_auth_requested(self) -> list[asyncssh.SSHKeyPair] | None:
        """Give the locked keys, once those of the agent and the open ones are used up."""
        locked, self._locked = self._locked, []
        return [pair for key in locked for pair in key.pairs(self, PASSPHRASE_ATTEMPTS)] or None

    async def ask_passphrase(self, key: str, attempt: int) -> str:
        """Ask for a passphrase."""
        if attempt:
            self._prompter.tell("That is not its passphrase.")
        return await self._ask(f"the passphrase of {key}", f"Passphrase of the key {key}: ")

    async def password_auth_requested(self) -> str | None:
        """Give the next password; None once there were enough of them."""
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
        """Begin an interview, unless nobody can answer: its beginning may send the person a message."""
        obstacle = self._prompter.obstacle
        if obstacle is not None:
            self.unanswered["an interactive login"] = obstacle
        if obstacle is not None or not self._interviews:
            return None
        self._interviews -= 1
        self.person.set()  # who may have to confirm on a telephone before the host says anything
        return ""

    async def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> Sequence[str] | None:
        """Show what the host says and ask what it asks."""
        for text in (name, instructions):
            if text.strip():
                self._prompter.tell(text)
        try:
            # With the name before it, a host cannot ask in the name of another.
            return [
                await self._ask(f"“{text.strip()}”", f"({self._who}) {text}", echo=echo)
                for text, echo in prompts
            ]
        except UnansweredError:
            return None

    async def _ask(self, what: str, question: str, *, echo: bool = False) -> str:
        self.person.set()
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
    """Tell what an error of the library means for the person."""
    reason = getattr(error, "reason", None) or str(error) or type(error).__name__
    if isinstance(error, asyncssh.PermissionDenied):
        return _refused(f"{where} refuses to log us in: {reason}", client, keys)
    if isinstance(error, (asyncssh.KeyImportError, asyncssh.KeyEncryptionError)):
        return AuthenticationError(
            f"a private key for {where} cannot be used: {reason}",
            "load it into an agent with ssh-add, or name another with -i",
        )
    if isinstance(error, asyncssh.ChannelOpenError):
        return UnreachableError(f"the jump host cannot reach {where}: {reason}")
    if isinstance(error, (asyncssh.ConnectionLost, OSError)):
        return UnreachableError(
            f"{where} dropped the connection: {reason}", "the host may be busy; try again"
        )
    if isinstance(error, asyncssh.DisconnectError):
        return NegotiationError(f"{where} and we cannot agree: {reason}")
    return OptionError(f"the SSH options for {where}: {reason}")


def _refused(what: str, client: LoginClient, keys: list[str]) -> AuthenticationError:
    """Say why we could not log in, and what would help, as far as we can see."""
    unanswered: tuple[str, ...] = ()
    if client.unanswered:
        unanswered = tuple(dict.fromkeys(client.questions or client.unanswered))
        whys = dict.fromkeys(client.unanswered.values())
        what += f"; the host would take {' or '.join(client.unanswered)}, but {', '.join(whys)}"
    locked = [key for key in keys if is_locked(key)]
    if locked:
        what += f"; the private key {', '.join(locked)} needs a passphrase"
        hint = "load it into an agent with ssh-add"
    elif client.is_answered:
        hint = "check the user name and what you typed"
    else:
        hint = "check the user name and the keys: ssh -v to the same host tells more"
    return AuthenticationError(what, hint, unanswered=unanswered)
