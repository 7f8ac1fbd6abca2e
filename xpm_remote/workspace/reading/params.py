"""The parameters of a job: which other jobs it needs. Read on demand, since these files are big."""

from __future__ import annotations

from typing import Any

from xpm_remote.workspace.layout import JobId, is_name
from xpm_remote.workspace.reading.json_files import LARGE_LIMIT, JsonObject, Problems, read_object


def read_dependencies(path: str, problems: Problems) -> tuple[JobId, ...]:
    """Read a params.json: the jobs that the job takes something from, each once, in the order of the file."""
    params = read_object(path, LARGE_LIMIT, problems) or {}
    return dependencies_of(params)


def dependencies_of(params: JsonObject) -> tuple[JobId, ...]:
    """Give the jobs that parameters name, other than the job itself, which is the last object.

    An object that a job made, or is, carries in ``task`` the number of the object that is that job.
    """
    listed = params.get("objects")
    objects = (
        [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    )
    if not objects:
        return ()
    by_number = {each["id"]: each for each in objects if isinstance(each.get("id"), (int, str))}
    own = _job_of(objects[-1])
    found: dict[JobId, None] = {}
    for each in objects[:-1]:
        number = each.get("task")
        if isinstance(number, (int, str)):
            job = _job_of(by_number.get(number, each))
            if job is not None and job != own:
                found[job] = None
    return tuple(found)


def _job_of(entry: dict[str, Any]) -> JobId | None:
    module, name = entry.get("module"), entry.get("type")
    full, identifier = entry.get("typename"), entry.get("identifier")
    if not isinstance(full, str):
        full = f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else ""
    task = full.lower()
    if not isinstance(identifier, str) or not is_name(task) or not is_name(identifier):
        return None
    return JobId(task, identifier)
