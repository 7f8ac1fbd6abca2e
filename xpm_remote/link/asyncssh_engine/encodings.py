"""Texts of a host that are not UTF-8, as SSH's protocol wants them: they are shown with escapes, as by ssh."""

from __future__ import annotations

from typing import Any

import asyncssh
from asyncssh.packet import Boolean, PacketDecodeError, SSHPacket, String, UInt32

ERRORS = "backslashreplace"
"""How bytes that are not UTF-8 are decoded, in banners and reasons too."""
_INTERVIEW = "keyboard-interactive"
_INFO_REQUEST = 60
"""SSH_MSG_USERAUTH_INFO_REQUEST; the number means something else in other methods."""


def read_any_questions(connection: asyncssh.SSHClientConnection) -> None:
    """Let the login method that has begun read questions in any encoding: the library itself ends the login.

    Banners and reasons it decodes as it is told; only questions not.
    """
    auth: Any = connection._auth  # noqa: SLF001 - it has no other access to them
    if auth is None or connection.get_server_auth_methods()[:1] != [_INTERVIEW]:
        return
    process = auth.process_packet

    def processing(kind: int, number: int, packet: SSHPacket) -> object:
        if kind == _INFO_REQUEST:
            packet = _in_utf8(packet)
        return process(kind, number, packet)

    auth.process_packet = processing


def _in_utf8(packet: SSHPacket) -> SSHPacket:
    """Return a request of RFC 4256 with all its texts in UTF-8; one that is none as it is."""
    start, rest = packet.get_consumed_payload(), packet.get_remaining_payload()
    reading = SSHPacket(rest)
    try:
        parts = [_text(reading) for _ in range(3)]
        count = reading.get_uint32()
        parts.append(UInt32(count))
        for _ in range(count):
            parts += [_text(reading), Boolean(reading.get_boolean())]
    except PacketDecodeError:
        parts = [rest]
    whole = SSHPacket(start + b"".join(parts))
    whole.get_bytes(len(start))
    return whole


def _text(packet: SSHPacket) -> bytes:
    return String(packet.get_string().decode("utf-8", ERRORS).encode())
