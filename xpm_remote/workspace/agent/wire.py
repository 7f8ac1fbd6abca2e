"""The server's side of JSON-RPC 2.0 over lines: bytes to requests, and messages to bytes.

Framing, error codes and what is ignored are those of experimaestro's monitor protocol 2.0. Pure.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, NamedTuple, TypeVar, Union

from xpm_remote.workspace.failures import BadIdFailure
from xpm_remote.workspace.layout import JobId, is_name
from xpm_remote.workspace.optional import zlib

PARSE_ERROR = -32700
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

MAX_REQUEST = 16 * 1024 * 1024
"""Bytes of one request: the longest names a hundred thousand jobs."""

COMPRESSION = 3
"""Level of the deflate stream: 100,000 jobs take 6 MB, in half the time of the usual level, which makes 8 % less."""


Params = Dict[str, Any]
Method = Callable[[Params], object]
Notify = Callable[[str, Params], None]
"""Sends a notification: its method and its parameters."""

Item = TypeVar("Item")


class ParameterError(Exception):
    """A parameter is missing, or of the wrong type."""


class Request(NamedTuple):
    """A call that needs an answer."""

    id: int | str
    method: str
    params: dict[str, Any]


class Refusal(NamedTuple):
    """An error answer to an invalid request."""

    id: int | str
    code: int
    message: str
    data: dict[str, Any] | None = None


class RequestReader:
    """Splits bytes into requests."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[Request | Refusal]:
        """Take bytes as they come; return the requests that they complete."""
        *lines, rest = data.split(b"\n")
        found: list[Request | Refusal] = []
        for line in lines:
            self._keep(line)
            message = self._end_line()
            if message is not None:
                found.append(message)
        self._keep(rest)
        return found

    def end(self) -> list[Request | Refusal]:
        """Return the last request when its line has no end."""
        message = self._end_line()
        return [] if message is None else [message]

    def _keep(self, data: bytes) -> None:
        if len(self._partial) + len(data) > MAX_REQUEST:
            self._skipping = True
            self._partial.clear()
        if not self._skipping:
            self._partial += data

    def _end_line(self) -> Request | Refusal | None:
        line, skipped = bytes(self._partial), self._skipping
        self._partial.clear()
        self._skipping = False
        if skipped:
            return Refusal(0, PARSE_ERROR, "the request is too long")
        return parse_request(line) if line.strip() else None


def read_requests(word: str) -> list[Request | Refusal]:
    """Return the requests of a word of the command line, a list in JSON; none of any other word."""
    if not word.startswith("["):
        return []
    try:
        messages = [_read_request(each) for each in json.loads(word)]
    except (ValueError, RecursionError):
        return []
    return [each for each in messages if each is not None]


def parse_request(line: bytes) -> Request | Refusal | None:
    """Return the request of a line; None when it needs no answer (a notification)."""
    try:
        message = json.loads(line.decode())
    except (ValueError, RecursionError):
        return Refusal(0, PARSE_ERROR, "the line is no JSON")
    return _read_request(message)


def _read_request(message: object) -> Request | Refusal | None:
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return Refusal(0, PARSE_ERROR, "the line is no JSON-RPC 2.0 request")
    request_id, method = message.get("id"), message.get("method")
    if not isinstance(request_id, (int, str)):
        return None
    if not isinstance(method, str):
        return Refusal(request_id, PARSE_ERROR, "the request names no method")
    params = message.get("params") or {}
    if not isinstance(params, dict):
        return Refusal(request_id, INTERNAL_ERROR, "the parameters have no names")
    return Request(request_id, method, params)


def text(params: Params, name: str) -> str:
    """Return a parameter that must be a text.

    Raises:
        ParameterError: It is missing, or not a text.
    """
    value = params.get(name)
    if not isinstance(value, str):
        message = f"{name} is required, as a text"
        raise ParameterError(message)
    return value


def job_id_of(params: Params) -> JobId:
    """Return the job that ``task_id`` and ``job_id`` name.

    Raises:
        ParameterError: One is missing.
        BadIdFailure: They cannot be names of a job.
    """
    task, job = text(params, "task_id"), text(params, "job_id")
    if not is_name(task) or not is_name(job):
        raise BadIdFailure(f"{task!r}/{job!r} is not the id of a job")
    return JobId(task, job)


def read_list(value: object, name: str, one: str, read: Callable[[Any], Item]) -> list[Item]:
    """Return the items of a parameter that must be a list.

    Args:
        value: The parameter.
        name: Its name.
        one: The name of an item, with its article.
        read: Reads an item; raises KeyError, TypeError or ValueError where it cannot.

    Raises:
        ParameterError: It is not a list, or an item cannot be read.
    """
    if not isinstance(value, list):
        message = f"{name} is a list"
        raise ParameterError(message)
    try:
        return [read(each) for each in value]
    except (KeyError, TypeError, ValueError) as error:
        message = f"{one} cannot be read: {error}"
        raise ParameterError(message) from error


def encode(message: dict[str, Any]) -> bytes:
    """Return the line of a message. Bytes of file names that are not UTF-8 become question marks.

    Raises:
        TypeError: It holds what JSON cannot.
    """
    line = json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":"), ensure_ascii=False)
    return line.encode("utf-8", "replace") + b"\n"


def answer(request_id: int | str, result: object) -> bytes:
    """Return the line that answers a request."""
    return encode({"id": request_id, "result": result})


def refuse(refusal: Refusal) -> bytes:
    """Return the line that refuses a request."""
    error: dict[str, Any] = {"code": refusal.code, "message": refusal.message}
    if refusal.data is not None:
        error["data"] = refusal.data
    return encode({"id": refusal.id, "error": error})


def notice(method: str, params: dict[str, Any]) -> bytes:
    """Return the line of a notification."""
    return encode({"method": method, "params": params})


class PlainStream:
    """Sends lines as they are."""

    name = "plain"

    def pack(self, line: bytes) -> bytes:
        """Return the bytes to send for a line."""
        return line


class DeflateStream:
    """Sends lines as one deflate stream, flushed after each: what repeats from line to line costs little."""

    name = "deflate"

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(COMPRESSION)

    def pack(self, line: bytes) -> bytes:
        """Return the bytes to send for a line."""
        return bytes(self._deflate.compress(line) + self._deflate.flush(zlib.Z_SYNC_FLUSH))


Stream = Union[PlainStream, DeflateStream]
