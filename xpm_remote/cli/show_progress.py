"""A progress bar for copying, on a terminal; nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from xpm_remote.workspace.folders.archiving import no_progress

if TYPE_CHECKING:
    from xpm_remote.workspace.folders.outcomes import Progress
    from xpm_remote.workspace.layout import JobId


@contextmanager
def copy_progress(what: str, size: int, files: int) -> Iterator[Progress]:
    """Show how far copying is; give what is to be told of each step.

    Args:
        what: What is done, such as ``recovering``.
        size: Bytes in all.
        files: Files in all.
    """
    if not (sys.stderr.isatty() and files):
        yield no_progress
        return
    # Rich alone takes as long as copying a small job.
    from xpm_remote.cli.progress_bar import bar

    with bar(what, size, files) as advance:

        def tell(_: JobId, more_bytes: int, more_files: int) -> None:
            advance(more_bytes, more_files)

        yield tell
