"""The start of the dashboard: what it begins with, and the import of all that draws it, behind a first frame."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from xpm_remote.errors import XpmRemoteError
from xpm_remote.settings.schema import NoticeSettings
from xpm_remote.ui.screen.first_frame import CONNECTING, FirstFrame
from xpm_remote.ui.screen.keys import KEYS, Key
from xpm_remote.ui.tables.acts import command_line

if TYPE_CHECKING:
    from typing import TextIO

    from xpm_remote.session.journal import Journal
    from xpm_remote.session.target import LocalTarget, Target
    from xpm_remote.ui.screen.remembered import Views
    from xpm_remote.workspace.layout import Folder


@dataclass(frozen=True)
class Start:
    """What the dashboard begins with.

    Attributes:
        targets: The workspaces.
        timeout: Seconds without an answer after which a request has failed.
        interval: Seconds between two reconciliations.
        views: The views of the user.
        keys: The table of keys.
        is_ascii: Whether only ASCII is drawn besides what comes from the remote.
        notices: When and how to call.
        journal: What has been seen; None where that is not remembered.
        folders: The folders of the workspaces, by their names.
        errors: In the end, why each workspace has ended, by its name.
        environ: The environment of programs that are run here.
    """

    targets: Sequence[Target | LocalTarget]
    timeout: float
    interval: float
    views: Views
    keys: tuple[Key, ...] = field(default=KEYS)
    is_ascii: bool = False
    notices: NoticeSettings = field(default_factory=NoticeSettings)
    journal: Journal | None = None
    folders: Mapping[str, tuple[Folder, ...]] = field(default_factory=dict)
    errors: dict[str, XpmRemoteError | None] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def command_line(self, action: str, name: str, keys: Sequence[str]) -> str:
        """Return the command that does the same; empty where a workspace has no name for it."""
        target = next((each for each in self.targets if each.label == name), None)
        if target is None or (not target.id and target.label != target.workspace):
            return ""
        return command_line(action, keys, workspace=target.id, workdir=target.workspace)


async def show(start: Start) -> None:
    """Show the dashboard until the person quits, or all workspaces have ended.

    Raises:
        XpmRemoteError: Why all workspaces have ended.
        StoppedBySignal: The person pressed Ctrl-C.
    """
    streams = cast("TextIO", sys.__stdin__), cast("TextIO", sys.__stdout__)
    with FirstFrame(*streams, CONNECTING if start.targets else "") as first:
        # It takes as long as all else until here; looking for garbage meanwhile finds none.
        gc.disable()
        from xpm_remote.ui.screen.app import run  # noqa: PLC0415

        gc.freeze()
        gc.enable()
        await run(start, first)
