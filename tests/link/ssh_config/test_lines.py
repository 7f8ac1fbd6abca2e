"""The lines of config files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.link.ssh_judge import Refused, ssh_dump
from xpm_remote.link.ssh_config.text import Mention, config_words, find_mentions, mentions


def test_mentions() -> None:
    """Keywords are found whatever host they are for, in any spelling; comments are not."""
    text = 'Host a b\n\n# Port 1\n  port=2 # two\nPORT = "3"\nFrobnicate x\nLonely\n'
    found = list(mentions(text, "/f", is_own=True))
    assert found == [
        Mention("Host", ("a", "b"), "/f:1", True),
        Mention("Port", ("2",), "/f:4", True),
        Mention("Port", ("3",), "/f:5", True),
        Mention("Frobnicate", ("x",), "/f:6", True),
    ]
    assert [each.words for each in find_mentions(found, "PORT")] == [("2",), ("3",)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a  b", ["a", "b"]),
        ('"a b" c', ["a b", "c"]),
        ("'a b'c", ["a bc"]),
        (r"a\ b", ["a b"]),
        (r'"a\"b" \' \x', ['a"b', "'", r"\x"]),
        (r"'\\ \x'", [r"\ \x"]),
        ("a # b", ["a"]),
        ("a#b '#c'", ["a#b", "#c"]),
        ('""', [""]),
    ],
)
def test_words(value: str, expected: list[str]) -> None:
    """Quotes are those of ssh."""
    assert config_words(value) == expected


@given(value=st.text(st.sampled_from("ab '\"\\#"), min_size=1, max_size=8))
def test_words_are_those_of_ssh(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    """Whatever the quotes, a value is split as ssh splits it."""
    config = tmp_path_factory.getbasetemp() / "words"
    config.write_text(f"SendEnv x {value}\n")
    try:
        expected = ssh_dump("-F", str(config), "t")["sendenv"]
    except Refused:
        return
    assert config_words(f"x {value}".rstrip()) == list(expected)
