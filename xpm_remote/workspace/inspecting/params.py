"""What the parameters of a job say: their values by name, and the jobs that they come from.

Source of the form: ``params.json`` of versions 1 to 3, as experimaestro 2.0 to 2.7 wrote it. Pure.
"""

from __future__ import annotations

from typing import Any, Iterator

from xpm_remote.workspace.reading.json_files import JsonObject

VALUES_LIMIT = 200
"""Parameters that are passed on, and elements of a list in one of them."""

TEXT_LIMIT = 1000
"""Characters of a parameter."""

DEPTH_LIMIT = 6
"""Levels of a parameter that are passed on: objects in objects, as models of layers are."""

VISITS_LIMIT = 100_000
"""Objects that are looked at; the largest configurations have some thousands."""

_OBJECT = "python"


def objects_by_id(params: JsonObject) -> dict[Any, JsonObject]:
    """Return the objects of ``params.json`` by their numbers."""
    objects = params.get("objects")
    if not isinstance(objects, list):
        return {}
    return {
        each["id"]: each
        for each in objects
        if isinstance(each, dict) and isinstance(each.get("id"), (int, str))
    }


def find_references(value: object) -> Iterator[Any]:
    """Yield the numbers of the objects to which an object refers."""
    waiting = [value]
    for _ in range(VISITS_LIMIT):
        if not waiting:
            return
        each = waiting.pop()
        if isinstance(each, dict):
            if each.get("type") == _OBJECT and isinstance(each.get("value"), (int, str)):
                yield each["value"]
            else:
                waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def needed_in(params: JsonObject) -> list[str]:
    """Return the hashes of the jobs that the job of ``params.json``, its last object, needs directly."""
    objects = objects_by_id(params)
    if not objects:
        return []
    root = list(objects)[-1]
    found: dict[str, None] = {}
    seen = {root}
    waiting = [root]
    while waiting:
        for number in find_references(objects[waiting.pop()]):
            each = objects.get(number)
            if each is None or number in seen:
                continue
            seen.add(number)
            task = each.get("task")
            if task is None or task == root:
                waiting.append(number)
                continue
            source = objects.get(task) if isinstance(task, (int, str)) else None
            identifier = (source or each).get("identifier")
            if isinstance(identifier, str):
                found[identifier] = None
    return list(found)


def values_of(params: JsonObject) -> JsonObject:
    """Return the parameters of the job of ``params.json`` by name, as plain JSON; what is too large is cut."""
    objects = objects_by_id(params)
    if not objects:
        return {}
    fields = objects[list(objects)[-1]].get("fields")
    if not isinstance(fields, dict):
        return {}
    return {
        str(name)[:TEXT_LIMIT]: _value(each, objects, DEPTH_LIMIT)
        for name, each in list(fields.items())[:VALUES_LIMIT]
    }


def _value(value: Any, objects: dict[Any, JsonObject], levels: int) -> Any:  # noqa: ANN401  (any JSON value)
    if isinstance(value, str):
        return value[:TEXT_LIMIT]
    if levels == 0 and isinstance(value, (dict, list)):
        return "…"
    if isinstance(value, list):
        return [_value(each, objects, levels - 1) for each in value[:VALUES_LIMIT]]
    if not isinstance(value, dict):
        return value
    if value.get("type") == _OBJECT:
        number = value.get("value")
        return _object(
            objects.get(number, {}) if isinstance(number, (int, str)) else {}, objects, levels
        )
    if set(value) <= {"type", "value", "base"} and "value" in value:
        return _value(value["value"], objects, levels - 1)
    return {
        str(name)[:TEXT_LIMIT]: _value(each, objects, levels - 1)
        for name, each in list(value.items())[:VALUES_LIMIT]
    }


def _object(found: JsonObject, objects: dict[Any, JsonObject], levels: int) -> JsonObject:
    """Return another object: its type, the job that makes it, and, unless it is a job, its own fields."""
    name = found.get("typename") or found.get("type")
    shown: JsonObject = {"type": name[:TEXT_LIMIT] if isinstance(name, str) else None}
    if found.get("task") is not None and isinstance(found.get("identifier"), str):
        return {**shown, "job": found["identifier"][:TEXT_LIMIT]}
    fields = found.get("fields")
    if isinstance(fields, dict):
        for key, each in list(fields.items())[:VALUES_LIMIT]:
            shown[str(key)[:TEXT_LIMIT]] = _value(each, objects, levels - 1)
    return shown
