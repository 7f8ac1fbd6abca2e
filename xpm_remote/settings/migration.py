"""The deprecated ``alt_workspaces`` rewritten to ``folders``, every other character left as it is.

Where a workspace has no folders yet, the list changes in place. Otherwise its entries go before the folders, and
comments inside what is removed are kept as lines of their own. Pure.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from msgspec import Struct
from msgspec.structs import replace

from xpm_remote.settings import document
from xpm_remote.settings.reader import read_settings
from xpm_remote.settings.reading import Reading
from xpm_remote.settings.schema import InvalidSettingsError, Problem, Settings
from xpm_remote.settings.workspaces import is_rooted

_OLD, _NEW = "alt_workspaces", "folders"
_BYTE_ORDER_MARK = "\ufeff"

_Entry = tuple[yaml.Node, Any]  # a key, and a value whose type the reader has checked

_COMMENT = re.compile(r"(?<!\S)#[^\r\n]*")
# A line as diff and patch see it; YAML and Python know more line breaks.
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


class Migration(Struct, frozen=True, kw_only=True):
    """A settings file rewritten.

    Attributes:
        text: The new text; the old one where nothing changes.
        diff: The change as a unified diff; empty where there is none.
        workspaces: The ids of the workspaces that change.
    """

    text: str
    diff: str
    workspaces: tuple[str, ...]


def migrate(
    text: str, *, path: Path, environ: Mapping[str, str], home: Path, cwd: Path | None = None
) -> Migration:
    """Rewrite the text of a settings file; the arguments are those of ``reader.read_settings``.

    Raises:
        InvalidSettingsError: The file has errors, or a list to rewrite is shared through an anchor.
    """
    settings = read_settings(text, path=path, environ=environ, home=home, cwd=cwd)
    changing = [
        index
        for index in range(len(settings.workspaces))
        if f"workspaces[{index}].{_OLD}" in settings.positions
    ]
    if not changing:
        return Migration(text=text, diff="", workspaces=())
    start = _BYTE_ORDER_MARK if text.startswith(_BYTE_ORDER_MARK) else ""
    body = text.removeprefix(start)
    rewriting = _Rewriting(body, settings)
    new = start + apply_edits(body, (e for index in changing for e in rewriting.edits(index)))
    try:
        after = read_settings(new, path=path, environ=environ, home=home, cwd=cwd)
    except InvalidSettingsError as error:
        raise rewriting.refusal(changing[0], f"the result would be wrong: {error}") from error
    if _meaning(after) != _meaning(settings):
        raise rewriting.refusal(changing[0], "the result would mean something else")
    names = tuple(settings.workspaces[index].id for index in changing)
    return Migration(text=new, diff=unified_diff(text, new, str(path)), workspaces=names)


def _meaning(settings: Settings) -> Settings:
    """Return the settings without what a rewrite may change."""
    workspaces = tuple(replace(each, alt_workspaces=()) for each in settings.workspaces)
    return replace(settings, workspaces=workspaces, warnings=(), positions={}, variables={})


class _Rewriting:
    """One rewrite of one text without byte order mark."""

    def __init__(self, text: str, settings: Settings) -> None:
        self._text = text
        self._settings = settings
        self._newline = "\r\n" if "\r\n" in text else "\n"
        # A mapping: the settings were read from the same text.
        root = cast("yaml.MappingNode", document.compose(text, settings.path))
        self._shared = _shared_nodes(root)
        self._workspaces = _entries(root)["workspaces"][1].value
        self._by_id = {each.id: index for index, each in enumerate(settings.workspaces)}

    def refusal(self, index: int, why: str) -> InvalidSettingsError:
        """Return the error for a workspace that cannot be rewritten."""
        at = f"workspaces[{index}].{_OLD}"
        problem = Problem(
            file=self._settings.path,
            position=self._settings.positions[at],
            key=at,
            what=f"cannot be rewritten: {why}",
            allowed="a change by hand, to folders with mode: use",
        )
        return InvalidSettingsError([problem])

    def edits(self, index: int) -> list[Edit]:
        """Return the edits that rewrite the ``alt_workspaces`` of a workspace."""
        workspace = self._workspaces[index]
        own = {key.value: (key, value) for key, value in workspace.value}
        has_folders = f"workspaces[{index}].{_NEW}" in self._settings.positions
        if _OLD not in own or (_NEW not in own and has_folders):
            raise self.refusal(index, "it is merged in with <<")
        old, new = own[_OLD][1], own[_NEW][1] if _NEW in own else None
        touched = [workspace, old, *old.value, *([new] if new else [])]
        if any(id(node) in self._shared for node in touched):
            raise self.refusal(index, "an alias shares it")
        paths = self._paths(index, old)
        if new is None:
            return self._renamed(own[_OLD], paths)
        if not (isinstance(new, yaml.SequenceNode) and new.value):
            return [*self._removed(workspace, own[_NEW]), *self._renamed(own[_OLD], paths)]
        return [*self._removed(workspace, own[_OLD]), self._inserted(new, paths)]

    def _paths(self, index: int, old: yaml.SequenceNode) -> list[str]:
        """Return the path of each entry as YAML, where possible as the file writes it."""
        paths: list[str] = []
        entries = self._settings.workspaces[index].alt_workspaces
        for entry, item in zip(entries, old.value, strict=True):
            spelled = item.value
            if entry in self._by_id:
                other = self._by_id[entry]
                spelled = _entries(self._workspaces[other])["path"][1].value
                if not is_rooted(spelled) and "$" not in spelled:
                    spelled = str(self._settings.workspaces[other].path)
            paths.append(_scalar(spelled))
        return paths

    def _renamed(self, entry: _Entry, paths: list[str]) -> list[Edit]:
        """Return the edits that rename the key and make each entry a folder."""
        key, value = entry
        edits = [Edit(_start(key), _end(key), _NEW)]
        for item, path in zip(value.value, paths, strict=True):
            if value.flow_style:
                edits.append(Edit(_start(item), _end(item), _flow_folder(path)))
            else:
                edits.append(Edit(_start(item), _end(item), f"path: {path}"))
                line = line_end(self._text, _end(item))
                indent = " " * item.start_mark.column
                edits.append(Edit(line, line, f"{self._newline}{indent}mode: use"))
        return edits

    def _inserted(self, folders: yaml.SequenceNode, paths: list[str]) -> Edit:
        """Return the edit that puts the entries before the first of the folders."""
        start = _start(folders)
        if folders.flow_style:
            text = "".join(f"{_flow_folder(path)}, " for path in paths)
            return Edit(start + 1, start + 1, text)
        line = self._newline + " " * folders.start_mark.column
        return Edit(
            start, start, "".join(f"- path: {path}{line}  mode: use{line}" for path in paths)
        )

    def _removed(self, mapping: yaml.MappingNode, entry: _Entry) -> list[Edit]:
        """Return the edits that remove a key of a mapping with its value."""
        key, value = entry
        items = value.value if isinstance(value, yaml.SequenceNode) else []
        # The end mark of a block list is where the next key starts, so that of its last item counts.
        is_block = bool(items) and not value.flow_style
        end = _end(items[-1] if is_block else value)
        scalars = [(_start(node), _end(node)) for node in (key, *items)]
        if mapping.flow_style:
            return self._removed_from_flow(_start(key), end, scalars)
        return self._removed_from_block(key, end, scalars)

    def _removed_from_flow(
        self, start: int, end: int, scalars: list[tuple[int, int]]
    ) -> list[Edit]:
        after = re.compile(r"\s*,[ \t]*").match(self._text, end)
        before = re.search(r",\s*$", self._text[:start])
        if after:
            end = after.end()
        elif before:
            start = before.start()
        comments = comments_in(self._text, start, end, scalars)
        return [Edit(start, end, "".join(f" {comment}{self._newline}" for comment in comments))]

    def _removed_from_block(
        self, key: yaml.Node, end: int, scalars: list[tuple[int, int]]
    ) -> list[Edit]:
        start, end = _start(key), line_end(self._text, end)
        comments = comments_in(self._text, start, end, scalars)
        first = self._text.rfind("\n", 0, start) + 1
        indent = self._text[first:start]
        if indent.strip():
            # The key is behind the dash of its workspace: the next key moves there.
            indent = " " * key.start_mark.column
            kept = "".join(f"{comment}{self._newline}{indent}" for comment in comments)
            end = len(self._text) - len(self._text[end:].lstrip())
            return [Edit(start, end, kept)]
        kept = "".join(f"{indent}{comment}{self._newline}" for comment in comments)
        return [Edit(first, end + len(self._newline), kept)]


def _entries(mapping: yaml.MappingNode) -> dict[str, _Entry]:
    """Return the keys and values of a mapping, with those that it merges."""
    reading = Reading(file=Path(), environ={}, home=Path(), cwd=Path())
    return {key.value: (key, value) for key, value in reading.entries("", mapping)}


def _shared_nodes(root: yaml.Node) -> frozenset[int]:
    """Return the nodes, by ``id()``, that stand in more than one place."""
    places: Counter[int] = Counter()
    todo = [root]
    while todo:
        node = todo.pop()
        places[id(node)] += 1
        if places[id(node)] > 1 or isinstance(node, yaml.ScalarNode):
            continue
        for child in node.value:
            todo.extend(child if isinstance(child, tuple) else [child])
    return frozenset(node for node, count in places.items() if count > 1)


def _start(node: yaml.Node) -> int:
    return int(node.start_mark.index)


def _end(node: yaml.Node) -> int:
    return int(node.end_mark.index)


def _scalar(text: str) -> str:
    """Return a text as YAML on one line, quoted where needed, also inside braces."""
    dumped = yaml.safe_dump(
        [text], default_flow_style=True, allow_unicode=True, width=len(text) + 9
    )
    return dumped.strip()[1:-1]


def _flow_folder(path: str) -> str:
    return f"{{path: {path}, mode: use}}"


class Edit(Struct, frozen=True, order=True):
    """Replace the characters from ``start`` up to, not including, ``end`` by ``text``."""

    start: int
    end: int
    text: str


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with these edits, which may not overlap; positions are those of the old text."""
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def comments_in(text: str, start: int, end: int, values: Iterable[tuple[int, int]]) -> list[str]:
    """Return the comments of a stretch of YAML, given the ranges of the values in it, which may hold a ``#``."""
    for first, last in values:
        text = text[:first] + "x" * (last - first) + text[last:]
    return _COMMENT.findall(text[start:end])


def line_end(text: str, index: int) -> int:
    """Return where the line of a character ends, before its line break."""
    end = text.find("\n", index)
    end = len(text) if end < 0 else end
    return end - 1 if text[index:end].endswith("\r") else end


def unified_diff(old: str, new: str, name: str) -> str:
    """Return the difference of two texts in the form that ``patch`` reads; empty where there is none."""
    lines = difflib.unified_diff(_LINE.findall(old), _LINE.findall(new), name, name)
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
