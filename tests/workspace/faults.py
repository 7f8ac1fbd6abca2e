"""Calls to the file system that fail as the system lets them fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xpm_remote.workspace import filesystem


def make_fail(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    number: int,
    when: Callable[..., bool] = lambda *_, **__: True,
) -> None:
    """Make a call fail as the system does: the error's file name is what was passed: a path, a part, or a descriptor.

    Args:
        monkeypatch: Undoes it.
        name: The name of the call in ``filesystem``.
        number: The number of the error.
        when: Called with the arguments; returns whether this call fails.
    """
    real = getattr(filesystem, name)

    def call(*args: Any, **options: Any) -> Any:
        if when(*args, **options):
            first = args[0] if args else None
            named = os.fspath(first) if isinstance(first, os.PathLike) else first
            raise OSError(number, os.strerror(number), named)
        return real(*args, **options)

    monkeypatch.setattr(filesystem, name, call)


def path_of(descriptor: int) -> str:
    """Return the path of an open file."""
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def below(root: Path) -> Callable[..., bool]:
    """Return a function that tells whether the arguments of a call are of something below a directory, or itself."""

    def is_below(
        first: object,
        *_: object,
        dir_fd: int | None = None,
        src_dir_fd: int | None = None,
        **__: object,
    ) -> bool:
        directory = src_dir_fd if dir_fd is None else dir_fd
        if isinstance(first, int):
            path = path_of(first)
        else:
            base = path_of(directory) if directory is not None else "/"
            path = f"{Path(base, os.fsdecode(first))}"  # type: ignore[arg-type]
        return path == str(root) or path.startswith(f"{root}/")

    return is_below
