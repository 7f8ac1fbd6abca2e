"""The RPC client over a transport that the test controls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from xpm_remote.errors import (
    BusyError,
    LinkLostError,
    ProtocolError,
    RemoteEndedError,
    RemoteTimeoutError,
    RequestError,
    StartError,
    XpmRemoteError,
)
from xpm_remote.link.remote.startup import RemoteExit
from xpm_remote.rpc.client import RpcClient, refusal
from xpm_remote.rpc.protocol import Asked, ErrorResponse, JsonRpc, Notification, first_requests

PATIENCE = 5.0
"""Seconds for what should happen at once; bounds a test that hangs."""


class HandTransport:
    """A transport whose other end is the test."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.exit = RemoteExit(None, "", None)
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self._requests = asyncio.Condition()

    async def receive(self) -> bytes:
        """Return what the test has put in."""
        return await self._arrived.get()

    def send(self, data: bytes) -> None:
        """Record a request."""
        self.sent.append(json.loads(data))

    async def aclose(self, *, finish: float = 0.0) -> None:
        """End."""
        del finish
        self.end(status=0)

    def answer(self, *messages: dict[str, Any]) -> None:
        """Receive messages, in one piece."""
        lines = (json.dumps({"jsonrpc": "2.0", **message}) for message in messages)
        self._arrived.put_nowait("".join(f"{line}\n" for line in lines).encode())

    def put(self, data: bytes) -> None:
        """Receive bytes."""
        self._arrived.put_nowait(data)

    def end(self, status: int | None = None, stderr: str = "", lost: str | None = None) -> None:
        """End the process."""
        self.exit = RemoteExit(status, stderr, lost)
        self._arrived.put_nowait(b"")


class BrokenTransport(HandTransport):
    """A transport that can no longer read what arrives, while the process goes on."""

    async def receive(self) -> bytes:
        """Raise what a stream that cannot be unpacked raises."""
        await super().receive()
        raise ProtocolError("what the agent sent cannot be unpacked")


async def test_requests_that_were_sent_with_the_command() -> None:
    """The first call of each takes that answer, whenever it came; the next one is sent."""
    transport = HandTransport()
    asked: Asked = (("hello", {}), ("subscribe", {"since": 1.5}))
    assert [each["id"] for each in json.loads(first_requests(asked))] == [1, 2]
    client = RpcClient(transport, command=None, listener=lambda _: None, asked=asked)
    transport.answer({"id": 1, "result": "early"}, {"id": 2, "error": {"code": 1, "message": "no"}})
    assert bytes(await client.call("hello")) == b'"early"'
    assert transport.sent == []
    again = asyncio.create_task(client.call("subscribe", {"since": 2}))
    await asyncio.sleep(0)
    assert [each["id"] for each in transport.sent] == [3]
    with pytest.raises(RequestError, match="no"):
        await client.call("subscribe", {"since": 1.5})
    transport.end(lost="cut")
    with pytest.raises(LinkLostError):
        await again
    await client.aclose()


async def test_end_before_early_answers() -> None:
    """A call whose request was sent with the command raises why the link ended, and no failure is left over."""
    transport = HandTransport()
    client = RpcClient(transport, command=None, listener=lambda _: None, asked=(("hello", {}),))
    transport.end(lost="cut")
    await client.wait_ended()
    with pytest.raises(LinkLostError):
        await client.call("hello")
    await client.aclose()


async def test_stream_that_cannot_be_read() -> None:
    """Every call ends with what is wrong with the stream, and not as if the process had ended."""
    transport = BrokenTransport()
    client = RpcClient(transport, command=None, listener=lambda _: None)
    transport.put(b"damaged")
    with pytest.raises(ProtocolError, match="cannot be unpacked"):
        await asyncio.wait_for(client.call("ping"), PATIENCE)
    assert isinstance(await client.wait_ended(), ProtocolError)
    await client.aclose()


@pytest.fixture
def transport() -> HandTransport:
    """The test's transport."""
    return HandTransport()


@pytest.fixture
def heard() -> list[Notification]:
    """The notifications that the listener received."""
    return []


@pytest.fixture
async def client(transport: HandTransport, heard: list[Notification]) -> AsyncIterator[RpcClient]:
    """A client over it."""
    made = RpcClient(
        transport, command="xpm monitor-server", listener=heard.append, timeout=PATIENCE
    )
    yield made
    await made.aclose()


async def start(client: RpcClient, *methods: str) -> list[asyncio.Task[Any]]:
    """Send requests and let them reach the transport."""
    tasks = [asyncio.create_task(client.call(method)) for method in methods]
    await asyncio.sleep(0)
    return tasks


async def test_answers_find_their_questions(client: RpcClient, transport: HandTransport) -> None:
    """Requests are sent at once, and each answer is that of its request, in any order."""
    first, second = await start(client, "a", "b")
    assert [request["method"] for request in transport.sent] == ["a", "b"]
    ids = [request["id"] for request in transport.sent]
    transport.answer({"id": ids[1], "result": 2}, {"id": ids[0], "result": [1]})
    assert bytes(await first) == b"[1]"
    assert bytes(await second) == b"2"


async def test_error_answers_name_the_method(client: RpcClient, transport: HandTransport) -> None:
    """A refusal raises an error with the method, the code and the server's message."""
    (task,) = await start(client, "get_job")
    error = {"code": -32602, "message": "task_id is required"}
    transport.answer({"id": transport.sent[0]["id"], "error": error})
    with pytest.raises(RequestError, match=r"get_job.*-32602.*task_id is required") as caught:
        await task
    assert (caught.value.method, caught.value.code) == ("get_job", -32602)


async def test_unrequested_answers_are_harmless(
    client: RpcClient, transport: HandTransport
) -> None:
    """An answer with an unknown id, or to a cancelled call, changes nothing."""
    given_up, kept = await start(client, "a", "b")
    given_up.cancel()
    await asyncio.wait({given_up})
    transport.answer({"id": 99, "result": 0}, {"id": transport.sent[0]["id"], "result": 1})
    transport.answer({"id": transport.sent[1]["id"], "result": 2})
    assert bytes(await kept) == b"2"


async def test_notifications_come_in_order(
    client: RpcClient, transport: HandTransport, heard: list[Notification]
) -> None:
    """The listener gets announcements in order; its failure does not stop the reader."""
    (task,) = await start(client, "a")
    transport.answer({"method": "n1"}, {"method": "n2", "params": {"x": 1}})
    transport.answer({"id": transport.sent[0]["id"], "result": None})
    await task
    assert [(each.method, bytes(each.params)) for each in heard] == [
        ("n1", b"{}"),
        ("n2", b'{"x":1}'.replace(b":", b": ")),
    ]


@pytest.mark.parametrize(
    ("end", "kind", "words"),
    [
        ({"status": 3, "stderr": "x\nboom\n"}, RemoteEndedError, "exit status 3: x | boom"),
        ({"status": None}, RemoteEndedError, "by a signal"),
        ({"lost": "reset"}, LinkLostError, "reset"),
    ],
)
async def test_the_end_wakes_all(
    client: RpcClient,
    transport: HandTransport,
    end: dict[str, Any],
    kind: type[XpmRemoteError],
    words: str,
) -> None:
    """When the process ends, every pending and every later call fails at once, with the same error."""
    (answered,) = await start(client, "hello")
    transport.answer({"id": transport.sent[0]["id"], "result": 1})
    await answered
    tasks = await start(client, "a", "b", "c")
    transport.end(**end)
    await asyncio.wait_for(asyncio.wait(tasks), PATIENCE)
    errors = {task.exception() for task in tasks}
    assert len(errors) == 1
    (error,) = errors
    assert isinstance(error, kind)
    assert words in str(error)
    with pytest.raises(kind):
        await client.call("later")
    assert await client.wait_ended() is error


async def test_an_end_before_any_answer_is_a_failed_start(
    client: RpcClient, transport: HandTransport
) -> None:
    """A server that never answered is distinguished from one that ended later."""
    (task,) = await start(client, "hello")
    transport.end(status=127, stderr="sh: xpm: not found\n")
    with pytest.raises(StartError, match="cannot run xpm: sh: xpm: not found"):
        await task


async def test_silence_is_bounded(transport: HandTransport) -> None:
    """A call fails after so many seconds without any part of an answer, even while announcements arrive."""
    client = RpcClient(transport, command="xpm", listener=lambda _: None, timeout=0.2)
    announcing = asyncio.create_task(_announce(transport))
    with pytest.raises(RemoteTimeoutError, match=r"not answered for 0.2 s.*never"):
        await asyncio.wait_for(client.call("never"), PATIENCE)
    announcing.cancel()
    await client.aclose()


async def test_a_server_that_fails_and_does_not_end(transport: HandTransport) -> None:
    """If a server has never answered, the last line of its stderr is told: a thread that it needs may have failed."""
    client = RpcClient(transport, command="xpm", listener=lambda _: None, timeout=0.1)
    wrote = "Traceback:\n  raise\nFileNotFoundError: No such file or directory: '/usr/bin/sacct'\n"
    transport.exit = RemoteExit(None, wrote, None)
    with pytest.raises(RemoteTimeoutError, match=r"wrote is: FileNotFoundError: .*/sacct'"):
        await asyncio.wait_for(client.call("never"), PATIENCE)
    (task,) = await start(client, "first")
    transport.answer({"id": transport.sent[-1]["id"], "result": 1})
    await task
    with pytest.raises(
        RemoteTimeoutError, match=r"not answered for 0.1 s \(request: again\);? ?[^;]*$"
    ):
        await asyncio.wait_for(client.call("again"), PATIENCE)
    await client.aclose()


async def test_a_long_answer_is_waited_for(transport: HandTransport) -> None:
    """While much of an answer arrives, the call continues beyond its timeout."""
    client = RpcClient(transport, command="xpm", listener=lambda _: None, timeout=0.2)
    (task,) = await start(client, "long")
    for part in (b'{"jsonrpc":' + b" " * 5000, b'"2.0","id":1,', b'"result":[1,', b"2]}\n"):
        await asyncio.sleep(0.12)  # the elapsed time is what is tested
        transport.put(part)
    assert bytes(await task) == b"[1,2]"
    await client.aclose()


async def test_an_answer_that_trickles(transport: HandTransport) -> None:
    """An answer of which a byte arrives now and then ends within the timeout, with words of its own."""
    client = RpcClient(transport, command="xpm", listener=lambda _: None, timeout=0.5)
    trickling = asyncio.create_task(_trickle(transport))
    with pytest.raises(RemoteTimeoutError, match=r"too slowly: \d+ bytes? in 0.5 s.*slow"):
        await asyncio.wait_for(client.call("slow"), PATIENCE)
    trickling.cancel()
    await client.aclose()


async def _trickle(transport: HandTransport) -> None:
    for byte in b'{"jsonrpc": "2.0", "id": 1, "result": "' + b"y" * 1000:
        transport.put(bytes([byte]))
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'{"jsonrpc":"2.0","id":1,"result":' + b"[" * 5000 + b"]" * 5000 + b"}", "nested"),
        (b'{"jsonrpc":"2.0","result":' + b"[" * 5000 + b"]" * 5000 + b"}", "nested"),
        (b'{"jsonrpc":"2.0","id":1,"result":[1,', "no message of JSON-RPC"),
    ],
)
async def test_an_answer_that_is_none(
    client: RpcClient, transport: HandTransport, answer: bytes, words: str
) -> None:
    """A call whose answer cannot be read ends at once, by what is wrong with it; the others go on."""
    first, second = await start(client, "get_jobs", "get_job")
    transport.put(answer + b"\n")
    with pytest.raises(ProtocolError, match=rf"the answer .* to get_jobs is .*{words}"):
        await asyncio.wait_for(first, PATIENCE)
    transport.answer({"id": transport.sent[1]["id"], "result": 2})
    assert bytes(await asyncio.wait_for(second, PATIENCE)) == b"2"


async def test_a_refusal_of_what_was_not_read(client: RpcClient, transport: HandTransport) -> None:
    """A server that could not read a request, and so does not know its id, has refused the oldest one."""
    (task,) = await start(client, "plan_archive")
    transport.answer({"id": 0, "error": {"code": -32700, "message": "the request is too long"}})
    with pytest.raises(RequestError, match=r"plan_archive.*too long"):
        await asyncio.wait_for(task, PATIENCE)


async def _announce(transport: HandTransport) -> None:
    while True:
        transport.answer({"method": "something happened"})
        await asyncio.sleep(0.02)


async def test_a_failing_listener_is_survived(
    transport: HandTransport, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception of a listener is logged; the client continues."""

    def fail(notification: Notification) -> None:
        raise ValueError(notification.method)

    client = RpcClient(transport, command="xpm", listener=fail)
    (task,) = await start(client, "a")
    transport.answer({"method": "bad news"}, {"id": transport.sent[0]["id"], "result": 1})
    assert bytes(await task) == b"1"
    assert "a listener failed on bad news" in caplog.text
    await client.aclose()


async def test_a_full_listener_is_waited_for(transport: HandTransport) -> None:
    """While a listener has no room, nothing more is read."""
    room, taken = asyncio.Event(), asyncio.Event()
    heard = []

    def listen(notification: Notification) -> asyncio.Event:
        heard.append(notification.method)
        taken.set()
        return room

    client = RpcClient(transport, command="x", listener=listen, timeout=PATIENCE)
    transport.answer({"method": "first", "params": {}}, {"method": "second", "params": {}})
    await asyncio.wait_for(taken.wait(), PATIENCE)
    await asyncio.sleep(0)
    assert heard == ["first"]
    (task,) = await start(client, "ping")
    transport.answer({"id": 1, "result": 1})
    room.set()
    await asyncio.wait_for(task, PATIENCE)
    assert heard == ["first", "second"]
    await client.aclose()


async def test_whatever_comes_is_a_sign_of_life(
    client: RpcClient, transport: HandTransport
) -> None:
    """An answer updates the time of the last sign of life, as an announcement does."""
    client.last_heard = 0.0
    (task,) = await start(client, "a")
    transport.answer({"id": transport.sent[0]["id"], "result": 1})
    await task
    assert client.last_heard > 0


def refused(data: object) -> XpmRemoteError:
    """Return the error of a refusal with such data."""
    raw = msgspec.Raw(json.dumps(data).encode())
    return refusal("recover", ErrorResponse(1, -32603, "words", raw))


def test_refusal_of_a_kind() -> None:
    """A refusal with a kind of failure is the error of local commands."""
    error = refused({"kind": "busy", "what": "it is so", "hint": "do this"})
    assert isinstance(error, BusyError)
    assert str(error) == "it is so; do this"


@pytest.mark.parametrize("data", [None, "text", {"kind": "other", "what": "x"}, {"kind": 3}])
def test_other_refusals(data: object) -> None:
    """A refusal of an unknown kind is an error of the request."""
    error = refused(data)
    assert isinstance(error, RequestError)
    assert (error.method, error.code, error.message) == ("recover", -32603, "words")


def test_data_come_with_the_message() -> None:
    """The protocol returns what a server adds to an error."""
    error = {"code": 1, "message": "m", "data": {"kind": "busy", "what": "w"}}
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode()
    (response,) = JsonRpc().receive(line + b"\n")
    assert isinstance(response, ErrorResponse)
    assert isinstance(refusal("m", response), BusyError)
