"""The processes of the program ``ssh``, with data in any order."""

from __future__ import annotations

import time

from xpm_remote.link.observer import UNOBSERVED
from xpm_remote.link.openssh_engine.session import OpensshSession
from xpm_remote.link.openssh_engine.stderr_parser import StepParser


async def test_output_before_progress() -> None:
    """A command whose output is read before the progress that ssh has written runs, and its link is not lost."""
    session = OpensshSession(None, StepParser(UNOBSERVED, "h", time.monotonic), "h")
    before = session.has_begun
    session.pipe_data_received(1, b"in\n")
    await session.wait_logged_in()
    assert (before, session.has_begun) == (False, True)
    assert await session.receive() == b"in\n"
