"""The way to a workspace, examined stage by stage on the terminal that the dashboard lends: its host may ask there."""

from __future__ import annotations

import asyncio
import signal
import time

from xpm_remote.doctor.stages import Examination, Stage, StageResult, Verdict
from xpm_remote.escaping import safe
from xpm_remote.link.course import SlowWaits
from xpm_remote.session.target import Target
from xpm_remote.ui.reports.doctor import stage_lines, summary_line
from xpm_remote.ui.screen.shells import put
from xpm_remote.waiting import taken


async def examine_on_terminal(target: Target, timeout: float) -> str:
    """Examine the way to a workspace, as ``doctor`` does; return the end of the report. Ctrl-C ends it.

    Args:
        target: The workspace.
        timeout: Seconds without an answer after which a request has failed.
    """
    # With the SSH library.
    from xpm_remote.doctor.examine import examine  # noqa: PLC0415

    put(f"doctor {safe(target.label)}  (Ctrl-C ends it)\n")
    examination = Examination(time.monotonic, _show, SlowWaits(lambda line: put(safe(line))))
    examination.begin(Stage.CONFIGURATION)
    examination.note("workspace", target.workspace)
    work = asyncio.create_task(examine(target, examination, timeout=timeout), name="doctor")
    try:
        with taken(work.cancel, signal.SIGINT):
            await asyncio.wait({work})
    finally:
        work.cancel()
        await asyncio.wait({work})
    if work.cancelled():
        return "the examination was ended"
    work.result()
    return summary_line(examination)


def _show(result: StageResult) -> None:
    if result.verdict is not Verdict.RUNNING:
        for line in stage_lines(result):
            put(line.text)
