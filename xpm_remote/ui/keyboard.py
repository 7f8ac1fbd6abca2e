"""Single keys, as they are pressed, and stopping and going on as a job of the shell."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import termios
from collections.abc import Callable, Iterator
from typing import Any

from xpm_remote.link.prompts import TerminalPrompter, UnansweredError

_STREAMS = (_STDIN, _STDOUT, _STDERR) = range(3)
_MOST = 64
"""Bytes of one look: an escape sequence of a function key is shorter."""

_LOCAL_FLAGS = 3
_CONTROL_CHARACTERS = 6
"""Places in what ``tcgetattr`` gives."""


def has_keyboard() -> bool:
    """Return whether a person could type to us, if we are the foreground job of the shell or come to be it."""
    return os.isatty(_STDIN)


async def call_person(host: str, asked: str) -> bool:
    """Wait until a person at the terminal wants to log in; return False at once when there can be none.

    Args:
        host: The host that asks.
        asked: What it asks for.
    """
    # That of a script that runs by itself is not asked on.
    if not has_keyboard():
        return False
    question = f"{host} needs a person: {asked}. Press Enter to log in: "
    try:
        await TerminalPrompter().ask(question, echo=True)
    except UnansweredError:
        return False
    return True


def is_background() -> bool:
    """Return whether the terminal is another job's at the moment."""
    for stream in _STREAMS:
        with contextlib.suppress(OSError):  # it leads somewhere else
            return os.tcgetpgrp(stream) != os.getpgrp()
    return False


class Keyboard:
    """The keys of the terminal that is our stdin, while it is on; Ctrl-C and Ctrl-Z stay signals.

    Args:
        press: Is told of each character that is typed.
    """

    def __init__(self, press: Callable[[str], None]) -> None:
        self._press = press
        self._terminal: int | None = None
        self._before: list[Any] = []

    @property
    def is_on(self) -> bool:
        """Whether keys are read."""
        return self._terminal is not None

    def start(self) -> None:
        """Read keys from now on; without effect where there is no keyboard."""
        if self._terminal is not None or not has_keyboard() or is_background():
            return
        # By its own name and opened anew: macOS cannot watch /dev/tty, and stdin's flags are not ours alone.
        flags = os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            terminal = os.open(os.ttyname(_STDIN), flags)
        except OSError:
            return
        self._terminal = terminal
        self._before = termios.tcgetattr(terminal)
        self._take_over(terminal)
        asyncio.get_running_loop().add_reader(terminal, self._read)

    def stop(self) -> None:
        """Leave the terminal as it was."""
        terminal, self._terminal = self._terminal, None
        if terminal is None:
            return
        asyncio.get_running_loop().remove_reader(terminal)
        # In the background, changing the terminal would stop us, and it is the shell's by then.
        if not is_background():
            with contextlib.suppress(termios.error):  # it is gone
                termios.tcsetattr(terminal, termios.TCSADRAIN, self._before)
        os.close(terminal)

    def resume(self) -> None:
        """Take the terminal over again, which a shell has changed while we were stopped."""
        if is_background():
            self.stop()
        elif self._terminal is not None:
            self._take_over(self._terminal)

    def _take_over(self, terminal: int) -> None:
        single = termios.tcgetattr(terminal)
        single[_LOCAL_FLAGS] &= ~(termios.ICANON | termios.ECHO)
        single[_CONTROL_CHARACTERS][termios.VMIN] = 1
        single[_CONTROL_CHARACTERS][termios.VTIME] = 0
        with contextlib.suppress(termios.error):
            termios.tcsetattr(terminal, termios.TCSADRAIN, single)

    def _read(self) -> None:
        if self._terminal is None:
            return
        try:
            typed = b"" if is_background() else os.read(self._terminal, _MOST)
        except BlockingIOError:
            return
        except OSError:
            typed = b""
        if not typed:  # another job's now, or gone
            self.stop()
        for key in typed.decode("utf-8", "replace"):
            self._press(key)


@contextlib.contextmanager
def job_control(suspend: Callable[[], None], resume: Callable[[], None]) -> Iterator[None]:
    """Let the shell stop us (Ctrl-Z) and have us go on (``fg``), with the terminal in order both times.

    Args:
        suspend: Takes down what is on the terminal.
        resume: Is called when we go on, also after a stop that was not asked for (SIGSTOP).
    """
    loop = asyncio.get_running_loop()

    def stop() -> None:
        suspend()
        loop.remove_signal_handler(signal.SIGTSTP)
        os.kill(os.getpid(), signal.SIGTSTP)
        loop.add_signal_handler(signal.SIGTSTP, stop)

    loop.add_signal_handler(signal.SIGTSTP, stop)
    loop.add_signal_handler(signal.SIGCONT, resume)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTSTP)
        loop.remove_signal_handler(signal.SIGCONT)
