"""The server's side of JSON-RPC: requests, refusals, and messages without an answer; bounded for any input."""

from __future__ import annotations

import itertools
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_remote.workspace.agent.wire import (
    INTERNAL_ERROR,
    MAX_REQUEST,
    PARSE_ERROR,
    DeflateStream,
    ParameterError,
    PlainStream,
    Refusal,
    Request,
    RequestReader,
    answer,
    job_id_of,
    notice,
    parse_request,
    read_list,
    read_requests,
    refuse,
    text,
)
from xpm_remote.workspace.failures import BadIdFailure
from xpm_remote.workspace.layout import JobId

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        (PING, Request(1, "ping", {})),
        (
            b'{"jsonrpc":"2.0","id":"x","method":"m","params":{"a":1}}\r',
            Request("x", "m", {"a": 1}),
        ),
        (b'{"jsonrpc":"2.0","id":2,"method":"m","params":null}', Request(2, "m", {})),
    ],
)
def test_requests(line: bytes, request_: Request) -> None:
    """A request has an id, a number or a text, a method, and perhaps parameters by name."""
    assert parse_request(line) == request_


@pytest.mark.parametrize(
    ("line", "request_id", "code"),
    [
        (b"nonsense", 0, PARSE_ERROR),
        (b"\xff\xfe", 0, PARSE_ERROR),
        (b"[" * 100_000, 0, PARSE_ERROR),
        (b"[" + PING + b"]", 0, PARSE_ERROR),
        (b'{"id":1,"method":"ping"}', 0, PARSE_ERROR),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', 0, PARSE_ERROR),
        (b'{"jsonrpc":"2.0","id":3,"method":5}', 3, PARSE_ERROR),
        (b'{"jsonrpc":"2.0","id":4,"method":"m","params":[1]}', 4, INTERNAL_ERROR),
    ],
)
def test_refused(line: bytes, request_id: int, code: int) -> None:
    """A malformed request is refused with the code of the reference server."""
    refusal = parse_request(line)
    assert isinstance(refusal, Refusal)
    assert (refusal.id, refusal.code) == (request_id, code)


@pytest.mark.parametrize(
    "line", [b'{"jsonrpc":"2.0","method":"m"}', b'{"jsonrpc":"2.0","id":null,"method":"m"}']
)
def test_notifications_are_not_answered(line: bytes) -> None:
    """A message without an id gets no answer."""
    assert parse_request(line) is None


def test_requests_in_the_command_line() -> None:
    """A word with a list of requests is read as its lines are: a wrong one is refused, a notification left out."""
    ping, note = PING.decode(), '{"jsonrpc":"2.0","method":"note"}'
    refusal = Refusal(0, PARSE_ERROR, "the line is no JSON-RPC 2.0 request")
    assert read_requests(f"[{ping}, {note}, 5]") == [Request(1, "ping", {}), refusal]
    assert read_requests("[]") == []


@pytest.mark.parametrize(
    "word", ["", "/data/ws", "--dirty", PING.decode(), "[", "[1", "[" * 100_000]
)
def test_other_words_of_the_command_line(word: str) -> None:
    """What is no list in JSON asks for nothing, and is no error."""
    assert read_requests(word) == []


@given(st.lists(st.integers(0, 3 * len(PING) + 3), max_size=9))
def test_bytes_in_any_pieces(cuts: list[int]) -> None:
    """Bytes in any pieces are the same requests; the last one needs no end of line."""
    data = PING + b"\n\n" + PING + b"\n" + PING
    edges = sorted({0, len(data), *cuts})
    reader, found = RequestReader(), []
    for start, end in itertools.pairwise(edges):
        found += reader.feed(data[start:end])
    assert [*found, *reader.end()] == [Request(1, "ping", {})] * 3
    assert reader.end() == []


def test_endless_line() -> None:
    """A line without end is refused as one, takes bounded memory, and does not affect the next."""
    reader = RequestReader()
    for _ in range(20):
        assert reader.feed(b"x" * (MAX_REQUEST // 8)) == []
    refusal, request = reader.feed(b"\n" + PING + b"\n")
    assert isinstance(refusal, Refusal)
    assert request == Request(1, "ping", {})


def test_lines() -> None:
    """Answers, refusals and notices are one line each, with any text."""
    hostile = "a\nb\x1b[2J\udcff é"
    for line in (
        answer(1, hostile),
        refuse(Refusal("x", -1, hostile, {"kind": hostile})),
        notice("m", {"text": hostile}),
    ):
        assert line.count(b"\n") == 1
        message: dict[str, Any] = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        assert repr("a\nb\x1b[2J? é") in str(message)
    assert json.loads(refuse(Refusal(7, -5, "no")))["error"] == {"code": -5, "message": "no"}


def test_plain() -> None:
    """Without compression, a line is sent as it is."""
    assert PlainStream().pack(PING) == PING


def test_deflate() -> None:
    """Each line is complete as soon as it is sent; repeated text takes little."""
    stream, inflate = DeflateStream(), zlib.decompressobj()
    line = answer(1, ["the same words"] * 100)
    sizes = []
    for _ in range(3):
        packed = stream.pack(line)
        sizes.append(len(packed))
        assert inflate.decompress(packed) == line
    assert sizes[2] < sizes[0] / 2


# Parameters


def test_parameters() -> None:
    """Parameters are read by their types."""
    names = {"task_id": "pkg.learn", "job_id": "aa"}
    assert text(names, "job_id") == "aa"
    assert job_id_of(names) == JobId("pkg.learn", "aa")
    assert read_list(["1", 2], "numbers", "a number", int) == [1, 2]


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({}, ParameterError),
        ({"task_id": "a", "job_id": 3}, ParameterError),
        ({"task_id": "a", "job_id": None}, ParameterError),
        ({"task_id": "a/b", "job_id": "c"}, BadIdFailure),
        ({"task_id": "a", "job_id": ".."}, BadIdFailure),
    ],
)
def test_job_ids_that_are_none(params: dict[str, Any], error: type[Exception]) -> None:
    """A parameter that is missing or of another type is refused; an id never leads out of the workspace."""
    with pytest.raises(error):
        job_id_of(params)


@pytest.mark.parametrize("value", [None, "12", {"a": 1}, ["x"], [None]])
def test_lists_that_are_none(value: object) -> None:
    """A value that is no list, or a list with an unreadable item, is refused."""
    with pytest.raises(ParameterError, match="number"):
        read_list(value, "numbers", "a number", int)
