"""Another process that acts at a chosen call to the file system, or a call that fails, one call after another."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from tests.support.effort import ALL, examples
from xpm_remote.workspace import filesystem

DOOR = sorted(
    name
    for name, each in vars(filesystem).items()
    if name.islower()
    and not name.startswith("_")
    and callable(each)
    and (inspect.isbuiltin(each) or getattr(each, "__module__", "") == filesystem.__name__)
)
"""The calls of the door through which all changes go."""

READING = ("listdir", "lstat", "open", "readlink", "scandir", "stat")
"""The calls by which references, directories and locks are read."""

SHARE = 4
"""Divisor of the number of places that a test tries by default."""

OWN = f"{os.sep}xpm_remote{os.sep}"

Act = Callable[[], None]


class KilledError(BaseException):
    """The process has ended at this call; what it would do afterwards, it does not do."""


class Calls:
    """The calls that a piece of work makes to the file system; before one of them something else happens.

    Args:
        at: The number of that call, from 1 on; 0 for none.
        act: Called before it.

    When ``act`` raises ``KilledError``, so does every later call.

    Attributes:
        places: The name of each call, and the lines of our code that lead to it.
    """

    def __init__(self, at: int = 0, act: Act = lambda: None) -> None:
        self.places: list[tuple[object, ...]] = []
        self._at = at
        self._act = act
        self._is_inside = False
        self._is_dead = False

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the calls that are made meanwhile."""
        wrapped = [(filesystem, name) for name in DOOR] + [(os, name) for name in READING]
        real = [(module, name, getattr(module, name)) for module, name in wrapped]
        for module, name, function in real:
            setattr(module, name, self._wrap(name, function))
        try:
            yield
        finally:
            for module, name, function in real:
                setattr(module, name, function)

    def _wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if self._is_dead:
                raise KilledError
            if self._is_inside:  # what happens meanwhile, or a call of the door that makes another
                return real(*args, **options)
            self._is_inside = True
            try:
                place = _place(name)
                if len(place) > 1:
                    self.places.append(place)
                    if len(self.places) == self._at:
                        self._act_before(lambda: real(*args, **options) if name == "close" else 0)
                return real(*args, **options)
            finally:
                self._is_inside = False

        return call

    def _act_before(self, do_first: Callable[[], object]) -> None:
        try:
            self._act()
        except KilledError:
            self._is_dead = True
            raise
        except OSError:
            do_first()  # a close that fails has closed nevertheless
            raise

    def chosen(self, turn: int) -> list[int]:
        """Return the calls to try, from 1 on: one for each place of our code, or for a share of them by default.

        Args:
            turn: Different for each test that tries the same calls, so that they take turns.
        """
        share = examples(SHARE, 1)
        first = {place: at for at, place in reversed(list(enumerate(self.places, 1)))}
        return sorted(first.values())[turn % share :: share]


def _place(name: str) -> tuple[object, ...]:
    found: list[object] = [name]
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and len(found) < (4 if ALL else 2):
        if OWN in frame.f_code.co_filename:
            found.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return tuple(found)


def close_below(root: Path) -> None:
    """Close the files below a directory that a process which was killed had open, and so let go of its locks."""
    for each in list(Path("/proc/self/fd").iterdir()):
        with suppress(FileNotFoundError):
            if root in each.readlink().parents:
                os.close(int(each.name))
