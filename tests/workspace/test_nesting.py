"""The depth of JSON text, found without decoding it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_remote.workspace.nesting import is_deeper


def depth(value: Any) -> int:
    """Return how deeply a value is nested."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


VALUES = st.recursive(
    st.one_of(st.none(), st.integers(), st.text('[]{}"\\\n a\N{EURO SIGN}')),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('[]{}"\\a'), inner),
)


@given(VALUES, st.integers(0, 6), st.booleans())
def test_depth_of_a_value(value: Any, levels: int, escaped: bool) -> None:
    """What a text is compared with is the depth of its value, whatever its strings hold."""
    text = json.dumps(value, ensure_ascii=escaped).encode()
    assert is_deeper(text, levels) == (depth(value) > levels)


@pytest.mark.parametrize(
    "text",
    [b"[" * 100, b'{"a":' * 100, b"[[]" * 100, b"[]]" * 100, b"[" * 100_000 + b"]" * 100_000],
    ids=["arrays", "objects", "unclosed", "unopened", "deep"],
)
def test_what_a_decoder_is_not_given(text: bytes) -> None:
    """Text that opens or closes too much is deeper, without a decoder."""
    assert is_deeper(text, 20)


def test_many_that_are_shallow() -> None:
    """The number of arrays and objects does not matter, nor do brackets in strings."""
    assert not is_deeper(b"[" + b'{"a[[[":[{}]},' * 1000 + b"0]", 4)
    assert is_deeper(b"[" + b'{"a[[[":[{}]},' * 1000 + b"0]", 3)
