"""The asyncio client of the protocol: one reader, pending calls, deadlines; the end of the stream ends every call."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from xpm_remote.errors import (
    LinkLostError,
    ProtocolError,
    RemoteEndedError,
    RemoteTimeoutError,
    RequestError,
    XpmRemoteError,
    error_of,
)
from xpm_remote.link.remote.startup import RemoteExit, start_failure
from xpm_remote.rpc.protocol import (
    REQUEST_TIMEOUT,
    Asked,
    BadResponse,
    ErrorResponse,
    JsonRpc,
    Message,
    Notification,
    Response,
)

log = logging.getLogger(__name__)

SLOWEST_ANSWER = 1024
"""Bytes a second of the slowest answer that is waited for: a modem's; an answer that trickles never ends."""

PIECE = 256 * 1024
"""Bytes that are looked at without letting other tasks run: megabytes may have arrived."""

Listener = Callable[[Notification], asyncio.Event | None]
"""Takes a notification; may return an event, until which the client reads no more."""


class Stdio(Protocol):
    """The part of a server's stdio that a client uses."""

    @property
    def exit(self) -> RemoteExit:
        """How the process ended; meaningful once ``receive`` has returned ``b""``."""

    async def receive(self) -> bytes:
        """Wait for at least one byte and return what has arrived; ``b""`` once the process has ended."""

    def send(self, data: bytes) -> None:
        """Send bytes to the process; without effect once it has ended."""

    async def aclose(self, *, finish: float = 0.0) -> None:
        """End the process and the connection; ``finish`` seconds more are allowed for work in progress."""


class _Failure(msgspec.Struct):
    kind: str
    what: str
    hint: str = ""


def refusal(method: str, response: ErrorResponse) -> XpmRemoteError:
    """Return the error for a refused request; our agent names the kind of failure.

    Args:
        method: The method that was called.
        response: The refusal.
    """
    try:
        failure = msgspec.json.decode(response.data, type=_Failure)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return RequestError(method, response.code, response.message)
    error = error_of(failure.kind, failure.what, failure.hint)
    return error or RequestError(method, response.code, response.message)


class RpcClient:
    """Calls to a server at the other end of a transport.

    Args:
        transport: The server's stdio.
        command: The command that was run there, as one can type it on the host; None: there is no such command.
        listener: Called with each notification, in order, from the reader's task.
        timeout: Seconds without any part of an answer after which a pending call fails; an answer that takes longer has
            to bring ``SLOWEST_ANSWER``.
        asked: The requests that were sent before; the first call of each waits for that answer.

    Attributes:
        last_heard: When anything last came from the server, in local epoch seconds.
    """

    def __init__(
        self,
        transport: Stdio,
        *,
        command: str | None,
        listener: Listener,
        timeout: float = REQUEST_TIMEOUT,
        asked: Asked = (),
    ) -> None:
        self._transport = transport
        self._command = command
        self._listener = listener
        self._timeout = timeout
        self._rpc = JsonRpc()
        self._pending: dict[int, tuple[str, asyncio.Future[msgspec.Raw]]] = {}
        self._asked: dict[int, float] = {}
        self._early = [(each, self._expect(*each)[0]) for each in asked]
        self._heard = self._part_heard = 0.0
        self.last_heard = time.time()
        self._answered = False
        self._ended: asyncio.Future[XpmRemoteError] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(), name="rpc-reader")

    async def call(self, method: str, params: dict[str, Any] | None = None) -> msgspec.Raw:
        """Send a request and wait for its answer; the server answers concurrent requests in order.

        Raises:
            RequestError: The server answered with an error.
            RemoteTimeoutError: The server is alive but does not answer, or too slowly.
            ProtocolError: The answer cannot be read.
            XpmRemoteError: The process or the connection ended: the same error for every pending and later call.
        """
        if self._ended.done():
            raise self._ended.result()
        loop = asyncio.get_running_loop()
        early = next((each for each in self._early if each[0] == (method, params or {})), None)
        if early is not None:
            self._early.remove(early)
            request_id = early[1]
        else:
            request_id, data = self._expect(method, params)
            self._transport.send(data)
        answer = self._pending[request_id][1]
        self._asked[request_id] = time.time()
        sent = loop.time()
        try:
            while not answer.done():
                left = self._deadline(sent) - loop.time()
                if left <= 0:
                    raise self._timeout_error(method)
                await asyncio.wait({answer}, timeout=left)
            return answer.result()
        finally:
            del self._pending[request_id]
            del self._asked[request_id]

    def _deadline(self, sent: float) -> float:
        """Return when a call fails: after silence, or when too little of a message has come."""
        heard = max(sent, self._heard)
        if not self._rpc.partial_size:
            return heard + self._timeout
        allowed = self._timeout + self._rpc.partial_size / SLOWEST_ANSWER
        return min(heard + allowed, max(heard, self._part_heard) + self._timeout)

    def _expect(self, method: str, params: dict[str, Any] | None = None) -> tuple[int, bytes]:
        """Return the id and the bytes of a request whose answer will be taken."""
        request_id, data = self._rpc.request(method, params)
        self._pending[request_id] = method, asyncio.get_running_loop().create_future()
        return request_id, data

    @property
    def oldest_request(self) -> tuple[str, float] | None:
        """The method that has waited longest for its answer, and since when (local epoch seconds)."""
        for request_id, since in self._asked.items():
            return self._pending[request_id][0], since
        return None

    async def wait_ended(self) -> XpmRemoteError:
        """Wait until the server or the connection has ended; return the error that says how."""
        return await asyncio.shield(self._ended)

    async def raise_ended(self) -> None:
        """Wait until the server or the connection has ended; raise the error that says how."""
        raise await self.wait_ended()

    async def aclose(self, *, finish: float = 0.0) -> None:
        """End the server and the connection.

        Args:
            finish: Seconds that the server may use, besides the usual ones, to finish work in progress.
        """
        await self._transport.aclose(finish=finish)
        self._reader.cancel()
        await asyncio.wait({self._reader})

    async def _read(self) -> None:
        failure: XpmRemoteError | None = None
        try:
            while data := await self._transport.receive():
                self.last_heard = time.time()
                for start in range(0, len(data), PIECE):
                    await self._take_all(self._rpc.receive(data[start : start + PIECE]))
                    await asyncio.sleep(0)
        except XpmRemoteError as broken:  # the stream cannot be read, while the process goes on
            failure = broken
        finally:
            error = failure or self._end_error()
            self._ended.set_result(error)
            for request_id, (_, answer) in self._pending.items():
                if request_id in self._asked and not answer.done():
                    answer.set_exception(error)

    def _note_heard(self, messages: list[Message], now: float) -> None:
        """Record that something has arrived: the messages, and perhaps a part of another one."""
        is_within = bool(self._rpc.partial_size)
        if is_within:
            self._part_heard = now
        # Notifications go on where our requests do not arrive any more: only answers count, or parts of one.
        if any(not isinstance(each, Notification) for each in messages) or (messages and is_within):
            self._heard = now

    async def _take_all(self, messages: list[Message]) -> None:
        self._note_heard(messages, asyncio.get_running_loop().time())
        for message in messages:
            room = self._take(message)
            if room is not None:
                await room.wait()

    def _take(self, message: Message) -> asyncio.Event | None:
        if isinstance(message, Notification):
            try:
                return self._listener(message)
            except Exception:  # the one place: a listener's failure must not stop the reader
                log.exception("a listener failed on %s", message.method)
                return None
        self._answered = True
        if message.request_id in self._pending:
            self._answer(message.request_id, message)
        elif not message.request_id and self._pending and not isinstance(message, Response):
            # A server that cannot read a request does not know its id.
            self._answer(next(iter(self._pending)), message)
        return None

    def _answer(self, request_id: int, message: Response | ErrorResponse | BadResponse) -> None:
        method, answer = self._pending[request_id]
        if answer.done():
            return
        if isinstance(message, Response):
            answer.set_result(message.result)
        elif isinstance(message, ErrorResponse):
            answer.set_exception(refusal(method, message))
        else:
            what = f"the answer of the remote server to {method} is {message.why}"
            hint = "the experimaestro there may be of another kind than ours: try --backend agent"
            answer.set_exception(ProtocolError(what, hint if self._command else "try again"))
        if answer.done() and not isinstance(message, Response):
            answer.exception()  # retrieved, so that asyncio does not log it where no call waits for it

    def _timeout_error(self, method: str) -> RemoteTimeoutError:
        what = f"the remote server has not answered for {self._timeout:g} s (request: {method})"
        hint = "raise --request-timeout, or look at the load of the host"
        size = self._rpc.partial_size
        if size:
            came = f"{size} byte{'s' * (size != 1)}"
            what = f"the remote server answers too slowly: {came} in {self._timeout:g} s (request: {method})"
            return RemoteTimeoutError(what, "look at the load of the host, or at the network")
        written = self._transport.exit.stderr.strip().splitlines()
        if self._answered or not written:
            return RemoteTimeoutError(what, hint)
        # A part of it has failed, and the rest waits for that: experimaestro without the sacct that it needs.
        hint = f"that may be what it waits for; {hint}"
        return RemoteTimeoutError(f"{what}; the last that it wrote is: {written[-1].strip()}", hint)

    def _end_error(self) -> XpmRemoteError:
        ended = self._transport.exit
        if ended.lost is not None:
            return LinkLostError(f"the connection to the host broke: {ended.lost}")
        if not self._answered and self._command is not None:
            return start_failure(ended.status, ended.stderr, self._rpc.noise.text, self._command)
        how = "by a signal" if ended.status is None else f"with exit status {ended.status}"
        said = " | ".join(ended.stderr.strip().splitlines()[-3:])
        return RemoteEndedError(
            f"the remote server ended {how}{': ' + said if said else ''}",
            "look at its log on the host",
        )
