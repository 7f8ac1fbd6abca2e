"""The passwords and codes of the container's users without a key, set by docker/Dockerfile."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import time

import pytest

from tests.support.container import ContainerServer
from tests.support.server import Server

PAT = "pat"
"""Logs in with a password."""
KIM = "kim"
"""Is asked for a password, which is not echoed, and then for a code, which is."""
PASSWORD = "correct horse"
SECRET = "JBSWY3DPEHPK3PXP"
"""The secret of the codes, in base32."""
CODE_PERIOD = 30
"""Seconds for which a code is valid."""


def code() -> str:
    """Return the current code, by RFC 6238."""
    moment = struct.pack(">Q", int(time.time()) // CODE_PERIOD)
    digest = hmac.new(base64.b32decode(SECRET), moment, hashlib.sha1).digest()
    (number,) = struct.unpack_from(">I", digest, digest[-1] & 0xF)
    return f"{(number & 0x7FFFFFFF) % 10**6:06}"


def require_passwords(server: Server) -> None:
    """Skip a test for which the server cannot be used: a private sshd has no users of its own with passwords."""
    if not isinstance(server, ContainerServer):
        pytest.skip("the private sshd of XPM_TEST_SSH=local takes keys only")
