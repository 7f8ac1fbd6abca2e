"""Refusals as errors: those of the workspace engine keep their kind."""

from __future__ import annotations

import json

import msgspec
import pytest

from xpm_remote.errors import (
    BadJobIdError,
    BusyError,
    FolderError,
    NoJobFoundError,
    RequestError,
    WorkspaceError,
    XpmRemoteError,
)
from xpm_remote.rpc.failures import refusal
from xpm_remote.rpc.protocol import ErrorResponse, JsonRpc

KINDS = {
    "workspace": WorkspaceError,
    "not-a-workspace": WorkspaceError,
    "bad-id": BadJobIdError,
    "no-job": NoJobFoundError,
    "folder": FolderError,
    "busy": BusyError,
    "damaged": FolderError,
}


def refused(data: object) -> XpmRemoteError:
    """Give the error of a refusal with such data."""
    raw = msgspec.Raw(json.dumps(data).encode())
    return refusal("recover", ErrorResponse(1, -32603, "words", raw))


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind: str) -> None:
    """Each kind of failure is the error of the local commands, with its words."""
    error = refused({"kind": kind, "what": "it is so", "hint": "do this"})
    assert type(error) is KINDS[kind]
    assert str(error) == "it is so; do this"


@pytest.mark.parametrize("data", [None, "text", {"kind": "other", "what": "x"}, {"kind": 3}])
def test_others(data: object) -> None:
    """What says no kind that we know is an error of the request."""
    error = refused(data)
    assert isinstance(error, RequestError)
    assert (error.method, error.code, error.message) == ("recover", -32603, "words")


def test_data_come_with_the_message() -> None:
    """The protocol hands over what a server adds to an error."""
    error = {"code": 1, "message": "m", "data": {"kind": "busy", "what": "w"}}
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode()
    (response,) = JsonRpc().receive(line + b"\n")
    assert isinstance(response, ErrorResponse)
    assert isinstance(refusal("m", response), BusyError)
