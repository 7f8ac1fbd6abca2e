"""What those users of the container know who have no key; docker/Dockerfile gives it to them."""

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
"""What the codes are made of, in base32."""
CODE_PERIOD = 30
"""Seconds for which a code is valid."""


def code() -> str:
    """Return the code of this moment, by RFC 6238."""
    moment = struct.pack(">Q", int(time.time()) // CODE_PERIOD)
    digest = hmac.new(base64.b32decode(SECRET), moment, hashlib.sha1).digest()
    (number,) = struct.unpack_from(">I", digest, digest[-1] & 0xF)
    return f"{(number & 0x7FFFFFFF) % 10**6:06}"


def require_passwords(server: Server) -> None:
    """Leave out a test that the server cannot be used for: a private sshd has no users of its own to ask."""
    if not isinstance(server, ContainerServer):
        pytest.skip("the private sshd of XPM_TEST_SSH=local takes keys only")
