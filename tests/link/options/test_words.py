"""Option strings as words."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_remote.errors import OptionError
from xpm_remote.link.options.words import Word, WordReader, split_words, unquote

TEXTS = st.text(alphabet="ab -=#~$'\"\\\t\n\xa0", max_size=20)


@given(TEXTS)
def test_same_words_as_shlex(text: str) -> None:
    """A text has the words that shlex finds, and each raw form yields its word."""
    try:
        expected = shlex.split(text)
    except ValueError:
        with pytest.raises(OptionError, match="cannot be split"):
            split_words(text)
        return
    words = split_words(text)
    assert [word.text for word in words] == expected
    assert [shlex.split(word.raw) for word in words] == [[word.text] for word in words]
    assert all(text.startswith(word.raw, word.start) for word in words)


@given(st.lists(st.text(alphabet="ab '\"", max_size=5)))
def test_unquote_undoes_quoting(words: list[str]) -> None:
    """Quoted words are unquoted unchanged."""
    assert unquote(shlex.join(words)) == words


@pytest.mark.parametrize(
    ("raw", "letters", "expected"),
    [
        ("-p22", 2, ("22", "22")),
        ('-o"a b"', 2, ('"a b"', "a b")),
        ("'-oa b'", 2, ("a b", "a b")),
        ("-p", 2, ("", "")),
    ],
)
def test_after(raw: str, letters: int, expected: tuple[str, str]) -> None:
    """The rest of a word keeps its quotes, unless they began before it."""
    rest = split_words(raw)[0].after(letters)
    assert (rest.raw, rest.text) == expected


def test_reader_gives_all_words() -> None:
    """The words of all strings are read in sequence; empty strings leave no gap."""
    reader = WordReader(["a 'b c'", "", "d"])
    texts = [word.text for word in iter(reader.next, None)]
    assert texts == ["a", "b c", "d"]


def test_reader_peeks_into_one_string() -> None:
    """Looking ahead ends with the string."""
    reader = WordReader(["a b", "c"])
    reader.next()
    assert reader.peek() == Word("b", "b", 2)
    assert reader.take().text == "b"
    assert reader.peek() is None


def test_rest() -> None:
    """The rest of a string is returned verbatim, and only once."""
    reader = WordReader(["a  'b'   c ", "d"])
    reader.next()
    assert [word.text for word in reader.rest()] == ["b", "c"]
    assert reader.take_rest() == "'b'   c"
    assert reader.rest() == []
    assert reader.take_rest() == ""
    assert reader.next() == Word("d", "d", 0)


@pytest.mark.parametrize(
    ("strings", "expected"),
    [
        (["-x a b"], "a"),
        (["-x", "a"], "a"),
        (["-x", "'a b'"], "a b"),
        (["-x", " a b "], "a b"),
        (["-x", ""], ""),
    ],
)
def test_argument(strings: list[str], expected: str) -> None:
    """An argument is the next word, or else the next string as a whole."""
    reader = WordReader(strings)
    reader.next()
    assert reader.argument("-x").text == expected


def test_missing_argument() -> None:
    """An option at the very end lacks its argument."""
    reader = WordReader(["-x"])
    reader.next()
    with pytest.raises(OptionError, match="-x lacks its argument"):
        reader.argument("-x")
