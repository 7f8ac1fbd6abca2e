"""YAML that settings do not need, and malformed YAML; with both of PyYAML's parsers."""

from __future__ import annotations

import pytest
import yaml

from tests.settings.support import complaints, read, refused
from xpm_remote.settings import document

PARSERS = [yaml.SafeLoader, yaml.CSafeLoader]


@pytest.fixture(params=PARSERS, autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers: the one in C, and the one that is used where PyYAML comes without it."""
    monkeypatch.setattr(document, "LOADER", request.param)


@pytest.mark.parametrize(
    "text", ["", "\n", "# only a comment\n", "---\n", "null", "~", "\ufeff", "{}"]
)
def test_nothing_in_the_file(text: str) -> None:
    """An empty file means the defaults."""
    settings = read(text)
    assert (settings.workspaces, settings.warnings) == ((), ())


@pytest.mark.parametrize(
    ("text", "place", "part"),
    [
        ("a: [b", "", "while parsing a flow sequence at line 1: "),
        ("a: b: c", "1:5:", "mapping values are not allowed"),
        ("a: 'b", "1:6:", "while scanning a quoted scalar at line 1: "),
        ("a:\n\t- b", "2:1:", "cannot start any token"),
        ("a: *nowhere", "1:4:", "found undefined alias"),
        ("a: &x 1\nb: &x 2", "2:4:", "found duplicate anchor"),
        ("--- {}\n--- {}", "2:1:", "expected a single document"),
        ("%YAML 3.0\n--- {}", "1:1:", "found incompatible YAML document"),
        ("a: \x01", "1:4:", "the character U+0001 is not allowed"),
        ("a: 1\nbé: \0", "2:5:", "the character U+0000 is not allowed"),
        ("a: '\udc80'", "1:5:", "the character U+DC80 is not allowed"),
    ],
)
def test_not_yaml(text: str, place: str, part: str) -> None:
    """Malformed YAML is one problem, with its place and the parser's message."""
    (complaint,) = complaints(text)
    assert complaint.startswith(f"{place} not valid YAML: " if place else "")
    assert part in complaint


@pytest.mark.parametrize("text", ['a: "\\UFFFFFFFF"', f"%YAML 1.{'9' * 5000}\n--- a"])
def test_absurd_numbers(text: str) -> None:
    """Escapes and versions beyond all numbers are malformed YAML, with either parser."""
    assert "not valid YAML: " in str(refused(text))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "workspaces: !!python/object/apply:os.system [ls]",
            '1:13: the tag "tag:yaml.org,2002:python/object/apply:os.system" is not allowed:'
            " settings are texts, numbers, lists and mappings",
        ),
        (
            "later: {a: !foo x}",
            '1:12: the tag "!foo" is not allowed: settings are texts, numbers, lists and mappings',
        ),
        ("a: &a [*a]", '1:8: the alias "*a" stands inside what it repeats'),
        ("a: &a {<<: {b: {<<: *a}}}", '1:21: the alias "*a" stands inside what it repeats'),
        ("[" * 40, "1:33: nested deeper than 32 levels"),
        ("- " * 40, "1:65: nested deeper than 32 levels"),
    ],
)
def test_refused(text: str, complaint: str) -> None:
    """Tags, aliases inside themselves and deep nesting are refused at any place."""
    assert complaints(text) == [complaint]


def test_plain_tags() -> None:
    """The tags of plain data are allowed, and ``!!str`` makes text of a number."""
    assert read("server: !!map {token: !!str 12, host: ! x}").server.token == "12"


def test_too_long() -> None:
    """A text above the limit is refused unread."""
    (complaint,) = refused("#" * (document.MAX_SIZE + 1)).problems
    assert (complaint.position, complaint.what) == (None, document.TOO_LONG)
