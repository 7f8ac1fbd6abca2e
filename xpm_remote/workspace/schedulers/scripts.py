"""The script with which a job was given to a scheduler; known without anything else of this folder."""

from __future__ import annotations

from xpm_remote.workspace.layout import JobFiles

_SBATCH = b"#SBATCH "
_SCRIPT_HEAD = 1 << 12  # bytes; these lines stand first in the script


def has_batch_script(files: JobFiles) -> bool:
    """Return whether a job has been given to SLURM; the peer's server removes pid files of jobs that live.

    Raises:
        OSError: That is not known.
    """
    try:
        with (files.directory / f"{files.name}.sh").open("rb") as script:
            return _SBATCH in script.read(_SCRIPT_HEAD)
    except FileNotFoundError:
        return False
