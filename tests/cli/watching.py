"""A program for a terminal: a fleet, and on its logins a log that is followed and a job that is recovered.

``python -m tests.cli.watching SETTINGS ENGINE LOG RECOVER FOLDER``: the log's workspace and job, and the job that is
recovered into the last workspace from a folder.
"""

# ruff: noqa: T201  (a program)

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import aclosing
from pathlib import Path

from tests.session.observing import Observed
from xpm_remote.cli.monitor import call_for_login
from xpm_remote.jobs.opening import open_in_loop
from xpm_remote.session.fleet import Fleet
from xpm_remote.session.state import Phase
from xpm_remote.session.target import Overrides, resolve_target
from xpm_remote.settings.reader import load_settings
from xpm_remote.settings.schema import SshEngine
from xpm_remote.workspace.folders.archiving import no_progress
from xpm_remote.workspace.layout import Folder, FolderMode, parse_job_id


async def watch(fleet: Fleet, log: str, recovered: str, folder: Path) -> None:
    """Follow a log of the first workspace and recover a job of the last one, while all are watched."""
    observed = [Observed(each) for each in fleet.members.values()]

    async def see_all() -> None:
        for each in observed:
            await each.wait_for(lambda each=each: each.phase is Phase.LIVE, "the link")  # type: ignore[misc]
        print("all are live", flush=True)

    await see_all()
    targets = [each.target for each in fleet.members.values()]
    backup = [Folder(folder, FolderMode.BACKUP)]
    async with (
        open_in_loop(targets[0], fleet.hosts, tell=print) as jobs,
        open_in_loop(targets[-1], fleet.hosts, folders=backup, tell=print) as others,
        aclosing(jobs.follow_logs([parse_job_id(log)], "out", 5, warn=print)) as pieces,
    ):
        print(f"log {(await anext(pieces))[1]}", flush=True)
        names = [parse_job_id(recovered)]
        async for each in others.recover(names, incomplete=False, progress=no_progress):
            print(f"recovered {each.is_there}", flush=True)
        await observed[0].wait_for(lambda: observed[0].phase is not Phase.LIVE, "the loss")
        print("the first is lost", flush=True)
        await see_all()
        print(f"log {(await anext(pieces))[1]}", flush=True)


async def main(settings: str, engine: str, log: str, recovered: str, folder: str) -> None:
    """Watch all workspaces of a settings file until the log has been seen twice."""
    read = load_settings(Path(settings), os.environ, Path.home())
    chosen = Overrides(engine=SshEngine(engine))
    fleet = Fleet([resolve_target(read, each.id, chosen) for each in read.workspaces])
    running = asyncio.create_task(fleet.run(call_for_login))
    try:
        await watch(fleet, log, recovered, Path(folder))
    finally:
        running.cancel()
        await asyncio.wait({running})


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
