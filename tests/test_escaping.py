"""Text from outside, for terminals and messages."""

from __future__ import annotations

import json

import pytest

from xpm_remote.escaping import (
    cleaned,
    encodable,
    json_ascii,
    json_safe,
    nearest,
    quoted,
    safe,
    safe_lines,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢", "plain é 漢"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb", "a\\nb"),
        ("right\u202eleft", "right\\u202eleft"),
        ("\udcff", "\\udcff"),
    ],
)
def test_safe(text: str, shown: str) -> None:
    """What is not printable is escaped, line breaks included."""
    assert safe(text) == shown


def test_json_safe() -> None:
    """What is not printable is an escape in JSON, where encoders leave it, and means the same; the rest stays."""
    text = "é 漢 \x7f\x9b\x85\u200e\u202e\u2028\u2066\ufeff\U000e0041\x1b\t\\u0041"
    written = json.dumps({text: [text]}, ensure_ascii=False)
    assert json_safe(written).isprintable()
    assert json.loads(json_safe(written)) == {text: [text]}
    assert json_safe(written).startswith('{"é 漢 \\u007f\\u009b\\u0085\\u200e')
    assert json_safe('{"a":"é"}') == '{"a":"é"}'


def test_json_ascii() -> None:
    """JSON in ASCII means the same."""
    text = "é 漢 \U0001f600 … → \\u0041"
    written = json.dumps({text: [text]}, ensure_ascii=False)
    assert json_ascii(written).isascii()
    assert json.loads(json_ascii(written)) == {text: [text]}
    assert json_ascii('{"a":1}') == '{"a":1}'


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "é … → ● 漢 \\udcff"),
        ("cp1252", "é … -> * \\u6f22 \\udcff"),
        ("iso-8859-1", "é ... -> * \\u6f22 \\udcff"),
        ("ascii", "\\xe9 ... -> * \\u6f22 \\udcff"),
        ("gbk", "é … → ● 漢 \\udcff"),
    ],
)
def test_encodable(encoding: str, shown: str) -> None:
    """What an encoding lacks is written in other characters, or as its escape."""
    assert encodable("é … → ● 漢 \udcff", encoding) == shown
    assert encodable(shown, encoding) == shown


def test_encodable_bytes() -> None:
    """Bytes that are no text are written as they were, where that is asked for."""
    assert encodable("a\udcff", "utf-8", keeps_bytes=True) == "a\udcff"


def test_safe_lines() -> None:
    """Line breaks inside of a text stay; what else moves the cursor does not."""
    assert safe_lines("one\r\ntwo\x1b[A\n\n") == "one\ntwo\\x1b[A"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("é x", "é x"),
        ("a\x1b[31m\n", r"a\x1b[31m\n"),
        ("a‮b", r"a\u202eb"),
        ("\udc80", r"\udc80"),
        ("x" * 100, "x" * 80 + "…"),
    ],
)
def test_text_in_a_message(text: str, shown: str) -> None:
    """A text in a message is shortened, and its control characters are escaped."""
    assert cleaned(text) == shown
    assert quoted(text) == f'"{shown}"'


@pytest.mark.parametrize(
    ("word", "question"), [("mdoe", 'did you mean "mode"?'), ("xyz", ""), ("mode" * 100, "")]
)
def test_nearest(word: str, question: str) -> None:
    """The most similar of the known words is suggested, if any is similar."""
    assert nearest(word, ["path", "mode"]) == question
