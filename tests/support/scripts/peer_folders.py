"""Let the real experimaestro archive or recover jobs; run by its own python.

    python peer_folders.py archive|recover WORKSPACE FOLDER backup|move TASK/HASH...

Prints one JSON object: for each job, the path that experimaestro gave, or null.
"""

import json
import sys
from pathlib import Path

from experimaestro.scheduler import folders
from experimaestro.settings import FolderMode, FolderSettings


def main() -> None:
    """Do what the command line says."""
    action, workspace, path, mode = sys.argv[1:5]
    folder = FolderSettings(path=Path(path), mode=FolderMode(mode))
    jobs = Path(workspace) / "jobs"
    found = {}
    for job in sys.argv[5:]:
        relative = Path(job)
        if action == "archive":
            given = folders._archive_job(
                folders._Job(jobs / relative, relative, relative.parent.name.rpartition(".")[2]),
                folder,
            )
        else:
            given = folders.recover_from_folders(relative, jobs, [folder])
        found[job] = given and str(given)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
