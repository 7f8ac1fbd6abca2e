"""The id of an experiment, from the YAML files that describe it, as experimaestro puts them together.

Later files win over earlier ones, and a file over those that it imports. An id may get the time of
the start behind it (``add_timestamp``). What else the files hold is for experimaestro.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from xpm_remote.errors import UsageError
from xpm_remote.escaping import quoted

SUFFIX = ".yaml"

_ID, _TIMESTAMP, _IMPORTS, _PARENT = "id", "add_timestamp", "imports", "parent"
_WANTED = (_ID, _TIMESTAMP, _IMPORTS, _PARENT)
_TRUE = ("1", "on", "t", "true", "y", "yes")


def find_file(name: str) -> Path:
    """Return the file that is meant: ``.yaml`` may be left out.

    Raises:
        UsageError: There is no such file.
    """
    path = Path(name)
    if not path.exists() and path.suffix != SUFFIX and path.name:
        path = path.with_suffix(SUFFIX)
    if not path.exists():
        raise UsageError(f"there is no experiment file {quoted(name)}", "give the path of its YAML")
    return path


def experiment_id(files: Iterable[Path], settings: Iterable[str], now: datetime) -> str | None:
    """Return the id that the experiment will have; None when it is set by its code, or not at all.

    Args:
        files: The files in the order in which they count.
        settings: ``KEY=VALUE`` of ``--conf``, which count after the files.
        now: When the experiment starts.

    Raises:
        UsageError: A file cannot be read, or the id is no text.
    """
    values: dict[str, Any] = {}
    for file in files:
        values.update(_read(file, ()))
    for setting in settings:
        key, _, value = setting.partition("=")
        values[key] = value
    found = values.get(_ID)
    if found is None:
        return None
    if not isinstance(found, str):
        raise UsageError(
            f"the experiment's id is {found!r}, not a text", f"write {_ID}: {quoted(str(found))}"
        )
    if str(values.get(_TIMESTAMP, "")).lower() in _TRUE:
        return f"{found}-{now:%Y%m%d-%H%M}"
    return found


def _read(file: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """Read what we want to know of a file and of those that it imports; ``above`` is what led to it."""
    place = file.resolve()
    if place in above:
        raise UsageError(f"{file} imports itself", "look at imports: in it")
    values: dict[str, Any] = {}
    own = _parse(file)
    for name in _imports(file, own):
        values.update(_read(find_file(str(file.parent / name)), (*above, place)))
    return {**values, **own}


def _imports(file: Path, own: dict[str, Any]) -> list[str]:
    parent = own.pop(_PARENT, None)
    imports = own.pop(_IMPORTS, None) or ([parent] if parent else [])
    if isinstance(imports, list) and all(isinstance(each, str) for each in imports):
        return imports
    raise UsageError(f"{file}: {_IMPORTS} is {imports!r}", "write a list of paths")


def _parse(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise UsageError(
            f"{file} is not a regular file, and it has to be read twice",
            "give --workspace or --workdir, for which we need not read it",
        )
    try:
        return _top_level(file.read_text(encoding="utf-8"), file)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        what = " ".join(str(error).split())
        raise UsageError(f"{file} is not valid YAML: {what}") from error


def _top_level(text: str, file: Path) -> dict[str, Any]:
    """Construct the values of the keys that we want; others may hold tags that only experimaestro knows."""
    # Not libyaml, which overflows the stack on what is nested without end; these files are small.
    loader = yaml.SafeLoader(text)
    root = loader.get_single_node()
    if not isinstance(root, yaml.MappingNode):
        raise UsageError(f"{file} describes no experiment", "write a mapping with id: and file:")
    loader.flatten_mapping(root)
    return {
        key.value: loader.construct_object(value, deep=True)
        for key, value in root.value
        if isinstance(key, yaml.ScalarNode) and key.value in _WANTED
    }
