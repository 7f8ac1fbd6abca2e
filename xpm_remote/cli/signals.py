"""Running until done or told to stop: every way of telling ends what we started, there and here."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from xpm_remote.errors import ExitCode

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BY_SIGNAL = 128
"""What a shell adds to the number of the signal that ended a command."""


def run_until_signal(work: Coroutine[Any, Any, None]) -> int:
    """Run to the end, or until SIGINT, SIGTERM or SIGHUP; give the exit status."""
    return asyncio.run(_run(work))


async def _run(work: Coroutine[Any, Any, None]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    caught: list[int] = []

    def stop(number: int) -> None:
        # A second signal finds the ladder of the first in progress, and cuts it short.
        caught.append(number)
        task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not caught:
            raise
        return _BY_SIGNAL + caught[0]
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
    return ExitCode.OK
