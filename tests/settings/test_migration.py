"""``alt_workspaces`` to ``folders``, in the text."""

from __future__ import annotations

import subprocess
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.settings.migration_cases import CASES
from tests.settings.support import FILE, HOME, SOON, cautions, read
from xpm_remote.settings.migration import Migration, comments_in, migrate
from xpm_remote.settings.schema import InvalidSettingsError


def _migrate(text: str, **environ: str) -> Migration:
    return migrate(text, path=FILE, environ=environ, home=HOME)


def _refusal(text: str) -> str:
    with pytest.raises(InvalidSettingsError) as caught:
        _migrate(text)
    return str(caught.value).removeprefix(f"{FILE}:")


@pytest.mark.parametrize(("before", "after"), CASES.values(), ids=CASES.keys())
def test_rewritten(before: str, after: str) -> None:
    """The entries become folders to use, before the others; everything else stays as it is."""
    migration = _migrate(dedent(before), ROOT="/data")
    assert migration.text == dedent(after)
    assert [each for each in cautions(migration.text, ROOT="/data") if "deprecated" in each] == []


@pytest.mark.parametrize(("before", "after"), CASES.values(), ids=CASES.keys())
def test_second_run_changes_nothing(before: str, after: str) -> None:
    """A migrated text has nothing more to migrate."""
    text = dedent(after)
    assert _migrate(text, ROOT="/data") == Migration(text=text, diff="", workspaces=())


@pytest.mark.parametrize(("before", "after"), CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("end", ["\n", ""])
def test_diff(tmp_path: Path, before: str, after: str, end: str) -> None:
    """The diff is one that ``git apply`` takes, also without a line break at the end."""
    old = dedent(before).rstrip("\n") + end
    file = tmp_path / "settings.yaml"
    file.write_text(old)
    migration = migrate(old, path=Path("settings.yaml"), environ={"ROOT": "/data"}, home=HOME)
    command = ["git", "apply", "-p0", "-"]
    subprocess.run(command, cwd=tmp_path, input=migration.diff, text=True, check=True, timeout=60)
    assert file.read_text() == migration.text
    assert migration.text.rstrip("\n") == dedent(after).rstrip("\n")


def test_names_of_the_workspaces() -> None:
    """The migration names the workspaces that it changes."""
    text = dedent(CASES["behind the dash"][0])
    assert _migrate(text).workspaces == ("a", "b", "c")


def test_nothing_to_do() -> None:
    """A file without ``alt_workspaces`` is unchanged."""
    text = "workspaces: [{id: a, path: /a}]\n"
    assert _migrate(text) == Migration(text=text, diff="", workspaces=())
    assert _migrate("") == Migration(text="", diff="", workspaces=())


def test_line_breaks_of_windows() -> None:
    """CR LF is kept, and new lines end with it too."""
    before = "workspaces:\n- id: a\n  path: /a\n  folders:\n  - path: /c\n  alt_workspaces:\n  - /b # x\n"
    before += "- id: b\n  path: /b\n  alt_workspaces:\n  - /d # y\n"
    text = _migrate(before.replace("\n", "\r\n")).text
    assert text.count("\r\n") == text.count("\n")
    assert text.replace("\r\n", "\n") == _migrate(before).text


def test_byte_order_mark() -> None:
    """A byte order mark is kept, and does not shift anything."""
    text = "workspaces: [{id: a, path: /a, alt_workspaces: [/b]}]"
    assert _migrate(f"\ufeff{text}").text == f"\ufeff{_migrate(text).text}"


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (
            "x: &x [/b]\nworkspaces: [{id: a, path: /a, alt_workspaces: *x}]",
            "1:4: workspaces[0].alt_workspaces: cannot be rewritten: an alias shares it;"
            " allowed: a change by hand, to folders with mode: use",
        ),
        (
            "x: &x [{path: /c}]\n"
            "workspaces: [{id: a, path: /a, alt_workspaces: [/b], folders: *x}]",
            "2:48: workspaces[0].alt_workspaces: cannot be rewritten: an alias shares it;"
            " allowed: a change by hand, to folders with mode: use",
        ),
        (
            "x: &x {alt_workspaces: [/b]}\nworkspaces: [{id: a, path: /a, <<: *x}]",
            "1:24: workspaces[0].alt_workspaces: cannot be rewritten: it is merged in with <<;"
            " allowed: a change by hand, to folders with mode: use",
        ),
        (
            "x: &x {folders: [{path: /c}]}\n"
            "workspaces: [{id: a, path: /a, alt_workspaces: [/b], <<: *x}]",
            "2:48: workspaces[0].alt_workspaces: cannot be rewritten: it is merged in with <<;"
            " allowed: a change by hand, to folders with mode: use",
        ),
        (
            "workspaces: [{id: a, path: /x/jobs}, {id: b, path: /b, alt_workspaces: [a]}]",
            "1:72: workspaces[1].alt_workspaces: cannot be rewritten:"
            " the result would mean something else;"
            " allowed: a change by hand, to folders with mode: use",
        ),
    ],
)
def test_left_alone(text: str, refusal: str) -> None:
    """Values shared by aliases and merge keys, or that folders cannot express, are an error with its place."""
    assert _refusal(text) == refusal


def test_result_is_read_before_it_is_given() -> None:
    """A notation that the migration cannot handle is an error, and never a broken file."""
    text = """\
        workspaces:
        - id: a
          path: /a
          ? alt_workspaces
          : [/k]
          ? folders
          : [{path: /c}]
        """
    refusal = _refusal(dedent(text))
    assert "cannot be rewritten: the result would be wrong: " in refusal


def test_file_with_errors() -> None:
    """A file with errors is not migrated."""
    assert _refusal("workspaces: [{id: a, alt_workspaces: [/b]}]") == (
        "1:14: workspaces[0].path: is missing"
    )


_PLACES = st.sampled_from(["/b", "/c d", "'/e#f'", '"~/g"', "other"])
_COMMENT = st.sampled_from(["", "  # x, y: [z", " #- w"])


@st.composite
def _lists(draw: st.DrawFn, key: str, items: list[str], indent: str) -> str:
    """A key with its list, in one of the usual notations."""
    if draw(st.booleans()):
        return f"{indent}{key}: [{', '.join(items)}]{draw(_COMMENT)}\n"
    inner = indent + draw(st.sampled_from(["", "  "]))
    lines = [f"{indent}{key}:{draw(_COMMENT)}\n"]
    for item in items:
        lines += [
            f"{inner}{comment}\n" for comment in draw(st.lists(st.just("# before"), max_size=1))
        ]
        lines.append(f"{inner}- {item}{draw(_COMMENT)}\n")
    return "".join(lines) if items else f"{indent}{key}: []\n"


@st.composite
def _files(draw: st.DrawFn) -> str:
    """A file with comments, whose workspace has alternatives and perhaps folders."""
    indent = draw(st.sampled_from(["  ", "    "]))
    alternatives = draw(st.lists(_PLACES, unique=True, max_size=3))
    parts = [
        f"{indent}id: a{draw(_COMMENT)}\n",
        f"{indent}path: /a{draw(_COMMENT)}\n",
        draw(_lists("alt_workspaces", alternatives, indent)),
        f"{indent}env: {{A: '#'}}\n",
    ]
    if draw(st.booleans()):
        folders = draw(
            st.lists(st.sampled_from(["{path: /h}", "path: /i"]), unique=True, max_size=2)
        )
        parts.append(draw(_lists("folders", folders, indent)))
    text = "".join(draw(st.permutations(parts)))
    return f"# top\nworkspaces:\n-{text[1:]}- {{id: other, path: /o}}\n# end\n"


def _untouched(text: str) -> list[str]:
    """The lines that the migration must keep; the dash of the workspace may have moved."""
    parts = ("# top", "id: a", "path: /a", "env: {", "- {id: other", "# end")
    lines = [line.lstrip("- ") for line in text.splitlines()]
    return [line for line in lines if line.startswith(tuple(part.lstrip("- ") for part in parts))]


@SOON
@given(_files())
def test_any_way_of_writing_it(text: str) -> None:
    """In any notation, the meaning, the comments and all other lines are kept."""
    before = read(text).workspaces[0]
    migration = _migrate(text)
    after = read(migration.text).workspaces[0]
    assert (after.folders, after.alt_workspaces) == (before.folders, ())
    assert sorted(comments_in(migration.text, 0, len(migration.text), ())) == sorted(
        comments_in(text, 0, len(text), ())
    )
    assert _untouched(migration.text) == _untouched(text)
    assert len(_untouched(text)) == 6
    assert _migrate(migration.text).diff == ""
