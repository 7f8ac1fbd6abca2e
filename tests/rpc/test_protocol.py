"""JSON-RPC without I/O: bytes to messages in any pieces, and harmless noise."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_remote.link.remote.startup import NOISE_KEPT
from xpm_remote.model.records import JobRecord, decode_slices
from xpm_remote.rpc import protocol
from xpm_remote.rpc.protocol import (
    MAX_DEPTH,
    BadResponse,
    ErrorResponse,
    JsonRpc,
    Message,
    Notification,
    Response,
)


def line(**fields: Any) -> bytes:
    """Return a message as a server writes it."""
    return json.dumps({"jsonrpc": "2.0", **fields}).encode() + b"\n"


def plain(message: Message) -> tuple[Any, ...]:
    """Return a message in a form that can be compared: an encoded part compares by identity."""
    if isinstance(message, Response):
        return "response", message.request_id, bytes(message.result)
    if isinstance(message, Notification):
        return "notification", message.method, bytes(message.params)
    if isinstance(message, BadResponse):
        return "bad", message.request_id, message.why
    return "error", message.request_id, message.code, message.message


def receive(data: bytes) -> tuple[list[tuple[Any, ...]], JsonRpc]:
    """Feed bytes to a new conversation."""
    rpc = JsonRpc()
    return [plain(message) for message in rpc.receive(data)], rpc


ANSWER = line(id=1, result=[1, 2])
ANSWERED = ("response", 1, b"[1, 2]")

# Requests


def test_requests() -> None:
    """A request is one line with a new id, its parameters by name."""
    rpc = JsonRpc()
    first, data = rpc.request("get_jobs", {"experiment_id": "é\n", "refresh": True})
    second, _ = rpc.request("get_sync_info")
    assert first != second
    assert data.count(b"\n") == 1
    assert data.endswith(b"\n")
    assert json.loads(data) == {
        "jsonrpc": "2.0",
        "method": "get_jobs",
        "params": {"experiment_id": "é\n", "refresh": True},
        "id": first,
    }


def test_a_text_that_is_not_utf8() -> None:
    """A text with bytes that are no UTF-8 is sent so that Python reads it as it was."""
    _, data = JsonRpc().request("search_log", {"pattern": "é\udcff"})
    assert json.loads(data)["params"] == {"pattern": "é\udcff"}


def test_request_without_parameters() -> None:
    """Without parameters an empty object is sent, which every server accepts."""
    _, data = JsonRpc().request("get_sync_info")
    assert json.loads(data)["params"] == {}


# Messages


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (ANSWER, ANSWERED),
        (line(id=2, result=None), ("response", 2, b"null")),
        (line(id=2), ("response", 2, b"null")),
        (
            line(id=17, error={"code": -32602, "message": "job_id is required", "data": {}}),
            ("error", 17, -32602, "job_id is required"),
        ),
        (line(id=3, error={}), ("error", 3, 0, "")),
        (
            line(method="notification.shutdown", params={"reason": "error"}),
            ("notification", "notification.shutdown", b'{"reason": "error"}'),
        ),
        (line(method="m"), ("notification", "m", b"{}")),
        (b"  " + ANSWER[:-1] + b"\r\n", ANSWERED),
    ],
)
def test_messages(data: bytes, expected: tuple[Any, ...]) -> None:
    """Answers, refusals and announcements are distinguished; optional parts have their defaults."""
    messages, rpc = receive(data)
    assert messages == [expected]
    assert rpc.noise.lines == 0


def test_unfinished_line_waits() -> None:
    """A message is returned when its line is complete, and not before."""
    rpc = JsonRpc()
    assert rpc.receive(ANSWER[:-1]) == []
    assert [plain(message) for message in rpc.receive(b"\n")] == [ANSWERED]


def test_empty_lines() -> None:
    """Empty lines are ignored."""
    messages, rpc = receive(b"\n \r\n" + ANSWER + b"\n")
    assert messages == [ANSWERED]
    assert rpc.noise.lines == 0


# Noise

NOISE = [
    b"Welcome to the cluster!",
    b"42",
    b"null",
    b"true",
    b'"jsonrpc"',
    b"[]",
    b'[{"jsonrpc": "2.0", "id": 1, "result": 0}]',
    b"{}",
    b'{"status": "ok"}',
    b'{"jsonrpc": "1.0", "id": 1, "result": 0}',
    b'{"jsonrpc": 2.0, "id": 1, "result": 0}',
    b'{"jsonrpc": "2.0", "result": 0}',
    b'{"jsonrpc": "2.0", "id": null, "result": 0}',
    b'{"jsonrpc": "2.0", "id": "7", "result": 0}',
    b'{"jsonrpc"',
    b"caf\xe9",
    b"\xff\xfe\x00",
    b'{"jsonrpc": "2.0", "method": "caf\xe9"}',
    b"[" * 5000,
    b"\x1b[2J\x07",
    b'sent: {"jsonrpc": "2.0", "id": 1, "result": 0} in 3 s',
    b'{"jsonrpc": "1.0", "id": 1, "result": ' + b"[" * 5000,
]


@pytest.mark.parametrize("noise", NOISE)
def test_noise_between_messages(noise: bytes) -> None:
    """A line that is no message is counted and kept; the messages around it are not affected."""
    messages, rpc = receive(ANSWER + noise + b"\n" + ANSWER)
    assert messages == [ANSWERED, ANSWERED]
    assert rpc.noise.lines == 1
    assert rpc.noise.text.startswith(noise.decode("utf-8", "backslashreplace")[:NOISE_KEPT])


@pytest.mark.parametrize(
    "noise", [b"password: ", b'{"jsonrpc"', b"caf\xe9 ", b'{"a": 1}', b"[[[", b"\xef\xbb\xbf"]
)
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (ANSWER, ANSWERED),
        (b'{"jsonrpc": "2.0", "id": 1, "result": [NaN]}\n', ("response", 1, b"[null]")),
    ],
)
def test_text_glued_before_a_message(noise: bytes, data: bytes, expected: tuple[Any, ...]) -> None:
    """Text without a newline does not corrupt the message that follows it."""
    messages, rpc = receive(noise + data)
    assert messages == [expected]
    assert rpc.noise.lines == 1
    assert rpc.noise.text == noise.decode("utf-8", "backslashreplace") + "\n"


def test_noise_is_bounded() -> None:
    """The beginning of the noise is kept, whatever its length; all its lines are counted."""
    _, rpc = receive(b"first\n" + b"x" * NOISE_KEPT + b"\n" + b"last\n" * 3)
    assert rpc.noise.lines == 5
    assert rpc.noise.text.startswith("first\nxxx")
    assert len(rpc.noise.text) == NOISE_KEPT
    assert "last" not in rpc.noise.text


def test_noise_cut_within_a_character() -> None:
    """A character that the bound cuts in two is escaped, not an error."""
    _, rpc = receive("é".encode() * NOISE_KEPT + b"\n")
    assert rpc.noise.text == "é" * (NOISE_KEPT // 2)
    _, rpc = receive(b"x" + "é".encode() * NOISE_KEPT + b"\n")
    assert rpc.noise.text.endswith("é\\xc3")


def test_line_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that looks like a message and never ends is given up as noise; the next line counts."""
    monkeypatch.setattr(protocol, "MAX_LINE", 100)
    rpc = JsonRpc()
    told = []
    for _ in range(10):
        told += rpc.receive(b'{"jsonrpc"' + b"y" * 50)
        assert rpc._partial_size <= 100
    messages = [plain(message) for message in rpc.receive(b"\n" + ANSWER)]
    assert (told, messages) == ([], [ANSWERED])
    assert rpc.noise.lines == 1
    assert rpc.noise.text.startswith('{"jsonrpc"yyy')


# Answers that cannot be read

DEEP = b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)
DEEPER = f"nested more deeply than {MAX_DEPTH} levels"
NO_MESSAGE = "no message of JSON-RPC 2.0"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"jsonrpc": "2.0", "id": 7, "result": ' + DEEP + b"}", ("bad", 7, DEEPER)),
        (b'{"jsonrpc":"2.0","id":7,"error":' + DEEP + b"}", ("bad", 7, DEEPER)),
        (b'{"id": 7, "result": ' + DEEP + b', "jsonrpc": "2.0"}', None),
        (b'{"id": 7, "jsonrpc": "2.0", "result": ' + DEEP + b"}", ("bad", 7, DEEPER)),
        (b'{"jsonrpc": "2.0", "result": ' + DEEP + b', "id": 7}', ("bad", 7, DEEPER)),
        (b'{"jsonrpc": "2.0", "result": ' + DEEP + b"}", ("bad", None, DEEPER)),
        (b'glued {"jsonrpc": "2.0", "id": 7, "result": ' + DEEP + b"}", ("bad", 7, DEEPER)),
        (b'{"jsonrpc": "2.0", "id": 7, "result": ' + b"[" * 100_000, ("bad", 7, DEEPER)),
        (b'{"jsonrpc": "2.0", "id": 7, "result": ', ("bad", 7, NO_MESSAGE)),
        (b'{"jsonrpc": "2.0", "id": 7, "result": 0} and more', ("bad", 7, NO_MESSAGE)),
        (b'{"jsonrpc": "2.0", "id": 7, "error": "no"}', ("bad", 7, NO_MESSAGE)),
        (
            b'{"jsonrpc": "2.0", "method": "notification.jobs", "params": ' + DEEP + b"}",
            ("notification", "notification.jobs", b"null"),
        ),
    ],
)
def test_answers_that_cannot_be_read(data: bytes, expected: tuple[Any, ...] | None) -> None:
    """The request of an answer that cannot be read is told why, and announcements without content are told."""
    messages, rpc = receive(data + b"\n" + ANSWER)
    assert messages == [*([expected] if expected else []), ANSWERED]
    assert rpc.noise.lines == 1


def test_depth_that_may_be() -> None:
    """A message of the greatest depth is read, also where it holds what is beyond the standard."""
    value = b"[" * (MAX_DEPTH - 1) + b"NaN" + b"]" * (MAX_DEPTH - 1)
    messages, _ = receive(b'{"jsonrpc":"2.0","id":1,"result":' + value + b"}\n")
    assert messages == [("response", 1, value.replace(b"NaN", b"null"))]


@pytest.mark.parametrize(
    ("begin", "expected"),
    [
        (b'{"jsonrpc": "2.0", "id": 7, "result": "', ("bad", 7)),
        (b'{"jsonrpc": "2.0", "result": "', ("bad", None)),
        (b'text {"jsonrpc": "2.0", "id": 7, "result": "', ("bad", 7)),
        (b'{"jsonrpc": "2.0", "method": "m", "params": "', ("notification", "m")),
        (b'{"jsonrpc": "1.0", "result": "', None),
    ],
)
@pytest.mark.parametrize("size", [3, 1000])
def test_too_large_answers(
    monkeypatch: pytest.MonkeyPatch, begin: bytes, expected: tuple[Any, ...] | None, size: int
) -> None:
    """A message that is too large is told as soon as it is, once, without its end; the next one is read."""
    monkeypatch.setattr(protocol, "MAX_LINE", 256)
    rpc = JsonRpc()
    text = begin + b"y" * 400
    told = [
        plain(message)
        for at in range(0, len(text), size)
        for message in rpc.receive(text[at : at + size])
    ]
    told += map(plain, rpc.receive(b"\n"))  # in one piece, the line has to end
    assert [each[:2] for each in told] == ([expected] if expected else [])
    if told and told[0][0] == "bad":
        assert told[0][2].startswith("larger than")
    assert list(map(plain, rpc.receive(ANSWER))) == [ANSWERED]


@pytest.mark.parametrize("noise", [b"y", b" ", b"[1, ", b'"{', b"\xff"])
def test_noise_without_an_end(noise: bytes) -> None:
    """Of a line that cannot become a message only the head is kept; a message at its end is found, in any pieces."""
    rpc = JsonRpc()
    for _ in range(100):
        assert rpc.receive(noise * 10_000) == []
        assert rpc._partial_size < 10
        assert len(rpc._dropped) <= NOISE_KEPT
        assert not rpc.is_within_message
    messages = [rpc.receive(bytes([byte])) for byte in ANSWER]
    assert [plain(message) for message in messages[-1]] == [ANSWERED]
    assert rpc.noise.lines == (1 if noise.strip() else 0)
    head = (noise * NOISE_KEPT)[:NOISE_KEPT].decode("utf-8", "backslashreplace")
    assert rpc.noise.text == (head if noise.strip() else "")


def test_message_with_a_message_inside_after_noise() -> None:
    """The outermost message after text without a newline counts."""
    inside = line(id=1, result={"jsonrpc": "2.0"})
    assert receive(b"noise " + inside)[0] == [("response", 1, b'{"jsonrpc": "2.0"}')]


def test_line_as_long_as_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message of the maximum length is accepted."""
    monkeypatch.setattr(protocol, "MAX_LINE", len(ANSWER) - 1)
    rpc = JsonRpc()
    for byte in ANSWER[:-1]:
        assert rpc.receive(bytes([byte])) == []
    assert [plain(message) for message in rpc.receive(b"\n")] == [ANSWERED]


class Decodings:
    """Counts what is decoded, and decodes it."""

    def __init__(self, decoder: Any) -> None:
        self.made = 0
        self._decoder = decoder

    def decode(self, data: bytes) -> Any:
        """Decode it."""
        self.made += 1
        return self._decoder.decode(data)


@pytest.mark.parametrize("times", [1, 10])
def test_noise_that_is_json_is_not_decoded(times: int) -> None:
    """Values and objects without the key of a message are not decoded, in any number; those with it, one each."""
    rpc = JsonRpc()
    decodings = Decodings(rpc._decoder)
    rpc._decoder = decodings  # type: ignore[assignment]
    values = b'1\nnull\n"text"\n{}\n[1, 2]\n{"id": 1}\n{"method": "m"}\n\n' * times
    assert rpc.receive(values) == []
    assert (decodings.made, rpc.noise.lines) == (0, 7 * times)
    assert rpc.receive(b'{"jsonrpc": 2, "id": 1}\n' * times) == []
    assert (decodings.made, rpc.noise.lines) == (times, 8 * times)
    assert list(map(plain, rpc.receive(ANSWER))) == [ANSWERED]


# What Python's json writes beyond the standard


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"NaN", None),
        (b"Infinity", None),
        (b"-Infinity", None),
        (rb'"\ud800"', "?"),
        (rb'"caf\udce9.txt"', "caf?.txt"),
        (rb'"\ud83d\ude00"', "\N{GRINNING FACE}"),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_values_beyond_the_standard(written: bytes, read: Any) -> None:
    """NaN and infinities become null, half a character a question mark; the message is not lost."""
    data = b'{"jsonrpc": "2.0", "id": 1, "result": {"lr": %b, "other": [1]}}\n' % written
    rpc = JsonRpc()
    (message,) = rpc.receive(data)
    assert isinstance(message, Response)
    assert msgspec.json.decode(message.result) == {"lr": read, "other": [1]}
    assert rpc.noise.lines == 0


def test_records_beyond_the_standard() -> None:
    """One job with such values affects neither its neighbours nor itself."""
    jobs = [
        {"job_id": "a", "task_id": "t", "progress": [{"progress": float("nan")}]},
        {"job_id": "b", "task_id": "t", "path": "/ws/\udce9"},
        {"job_id": "c", "task_id": "t", "state": "done"},
    ]
    (message,) = JsonRpc().receive(line(id=1, result=jobs))
    assert isinstance(message, Response)
    ((records, dropped),) = decode_slices(message.result, JobRecord)
    assert [record.job_id for record in records] == ["a", "b", "c"]
    assert dropped == 0


# In any pieces

MESSAGES = st.one_of(
    st.builds(lambda number, result: line(id=number, result=result), st.integers(0, 99), st.text()),
    st.builds(lambda text: line(id=1, error={"code": -1, "message": text}), st.text()),
    st.builds(lambda text: line(method="m", params={"text": text}), st.text()),
    st.sampled_from([*NOISE[:15], b"", b"glued" + ANSWER[:-1]]).map(lambda text: text + b"\n"),
    st.binary(max_size=20),
)


@given(st.lists(MESSAGES, max_size=6), st.data())
def test_any_cut_gives_the_same(parts: list[bytes], data: st.DataObject) -> None:
    """The same bytes are the same messages and the same noise, in any pieces."""
    stream = b"".join(parts) + b"\n"
    whole, reference = receive(stream)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    rpc = JsonRpc()
    messages = [
        plain(message)
        for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for message in rpc.receive(stream[begin:end])
    ]
    assert messages == whole
    assert (rpc.noise.lines, rpc.noise.text) == (reference.noise.lines, reference.noise.text)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Any bytes raise nothing, and the next message is read."""
    messages, _ = receive(data + b"\n" + ANSWER)
    assert messages[-1] == ANSWERED


def test_error_response_is_a_value() -> None:
    """A refusal is compared by its contents."""
    (message,) = JsonRpc().receive(line(id=1, error={"code": 5, "message": "m"}))
    assert message == ErrorResponse(1, 5, "m")
