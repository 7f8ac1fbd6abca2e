"""How much a job has on disk."""

from __future__ import annotations

import os
from pathlib import Path

from xpm_remote.workspace import filesystem


def measure(directory: Path) -> tuple[int, int]:
    """Give the bytes of a job's files, and how many files, links and directories there are, itself included.

    What cannot be read is not counted.
    """
    size, files = 0, 0
    pending = [os.fspath(directory)]
    while pending:
        files += 1
        try:
            with filesystem.scan(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        files += 1
                        size += _size(entry)
        except OSError:
            continue
    return size, files


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return (
            entry.stat(follow_symlinks=False).st_size if entry.is_file(follow_symlinks=False) else 0
        )
    except OSError:
        return 0
