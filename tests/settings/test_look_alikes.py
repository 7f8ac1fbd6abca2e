"""Spaces and quotes that are none for YAML; with both of PyYAML's parsers."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.settings.support import SOON, complaints, first, read
from xpm_remote.settings import document
from xpm_remote.settings.look_alikes import find_look_alikes

PARSERS = [yaml.SafeLoader, yaml.CSafeLoader]


@pytest.fixture(params=PARSERS, autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers: the one in C, and the one that is used where PyYAML comes without it."""
    monkeypatch.setattr(document, "LOADER", request.param)


SPACES = ["\u00a0", "\u2007", "\u202f", "\u3000", "\u200b", "\u2060", "\u00ad"]


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("workspaces:\n- id: a\n_ path: /x\n", "3:1"),
        ("workspaces:\n- id: a\n  _path: /x\n", "3:3"),
        ("workspaces:\n  - id: a\n _  path: /x\n", "3:2"),
        ("workspaces:\n- path: /x\n__id: a\n", "3:1"),
        ("workspaces:\n-_id: a\n  path: /x\n", "2:2"),
        ("workspaces:\n- _id: a\n  path: /x\n", "2:3"),
        ("workspaces:\n- id: a\n  path:_/x\n", "3:8"),
        ("workspaces:\n- id: a\n  path:_/x\n  max_retries: 2\n", "3:8"),
        ("workspaces:\n- id: a\n  path: _/x\n", "3:9"),
        ("workspaces:\n- id: a\n  path_: /x\n", "3:7"),
        ("workspaces:\n- id: a\n  path: /x_\n", "3:11"),
        ("workspaces:\n- id: a\n  path: /x_# the disk\n", "3:11"),
        ("workspaces_:\n- id: a\n  path: /x\n", "1:11"),
        ("env:\n  A: 'b'\n  C_: d\n  D: [e_]\n  'F_' : g\n", "3:4"),
        ("env:\n  'F'_: g\n", "2:6"),
    ],
)
def test_no_space(text: str, place: str, space: str) -> None:
    """A space that is none for YAML is named at its place, with its number."""
    complaint = complaints(text.replace("_", space))[0]
    assert complaint.startswith(f"{place}: found the character U+{ord(space):04X} (")
    assert "no space in YAML; " in complaint
    assert "\n" not in complaint


def test_all_at_once() -> None:
    """All of them are reported in one run, up to a limit."""
    text = "workspaces:\n" + "- id: a\u00a0\n  path: /x\u00a0\n" * 30
    assert len(complaints(text)) == 20
    assert [each[:4] for each in complaints(text)[:2]] == ["2:8:", "3:11"]


def test_the_remedy() -> None:
    """What has no width is deleted; what has one is replaced."""
    (wide,) = complaints("env: {A: \u00a0b}")
    assert wide == (
        "1:10: found the character U+00A0 (no-break space), which is no space in YAML; write an ordinary space,"
        " or quote the text if it belongs there"
    )
    (narrow,) = complaints("env: {A: \u200bb}")
    assert "(zero width space), which is no space in YAML; delete it, or" in narrow


@pytest.mark.parametrize(
    "text",
    [
        "a\u00a0b",
        "'\u00a0b\u00a0'",
        '"\u200bb"',
        "|\n    x\n    \u00a0 y\n",
        ">-\n    - \u00a0y\n    path:\u00a0z\n",
        "b # \u00a0c",
        "'a:\u00a0b'",
        "a “b”",
        "'“a”'",
    ],
)
def test_meant(text: str) -> None:
    """In quotes, in scripts, in comments and within a text, such characters stay."""
    assert read(f"env:\n  A: {text}").env["A"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("env: {A: “b”}", '1:10: found the typographic quote “ (U+201C), which is no quote in YAML; write "b"'),
        ("env: {A: ‘b c’}", '1:10: found the typographic quote ‘ (U+2018), which is no quote in YAML; write "b c"'),  # noqa: RUF001
        ("env: {A: «b»}", '1:10: found the typographic quote « (U+00AB), which is no quote in YAML; write "b"'),
        ("env: {A: «\u00a0b}", '1:10: found the typographic quote « (U+00AB), which is no quote in YAML; write "b"'),
        ("env: {“A”: b}", '1:7: found the typographic quote “ (U+201C), which is no quote in YAML; write "A"'),
        ("env:\n  A: “b: c”\n", '2:6: found the typographic quote “ (U+201C), which is no quote in YAML; write "b: c"'),
    ],
)  # fmt: skip
def test_quotes(text: str, complaint: str) -> None:
    """Typographic quotes around a text are reported with the right ones."""
    assert complaint in complaints(text)


def test_other_mistakes() -> None:
    """A file that is broken elsewhere has its own error, whatever its scripts contain."""
    text = "env:\n  A: |\n    x\n    \u00a0 y\n  B: 1\n  - c\n"
    (complaint,) = complaints(text)
    assert "not valid YAML: " in complaint


def test_a_byte_order_mark_at_the_start() -> None:
    """A mark at the start of the file shifts nothing."""
    assert complaints("\ufeffenv: {A: “b”}")[0].startswith("1:10: ")


@SOON
@given(st.text(alphabet="ab:-#[]{},'\"“” \n\u00a0\u200b|>", max_size=60))
def test_any_text(text: str) -> None:
    """Whatever the text and its spans, offsets lie in it, in order, each at such a character."""
    half = len(text) // 2
    found = [at for at, _ in find_look_alikes(text, [(0, half), (half, half)], (half, len(text)))]
    assert found == sorted(set(found))
    assert all(text[at] in "“”\u00a0\u200b" for at in found)


def test_first_use() -> None:
    """A file without any is read as before."""
    assert first("workspaces:\n- id: a\n  path: /x # c\n").id == "a"
