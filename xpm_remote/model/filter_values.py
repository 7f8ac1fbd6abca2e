"""When two values of a job filter are equal: numbers as numbers, whatever the tag holds. Pure."""

from __future__ import annotations

from xpm_remote.model.filter_words import MAX_LENGTH, NUMBER, as_number


def are_equal(left: object, right: object) -> bool:
    """Compare two values, of tags or of the filter.

    Two texts are equal when they are the same; two numbers, when their values are, with 1 and 0 for true and false. A
    number equals a text that spells it (``0.1`` and ``1e-1``), a truth value the texts ``true`` or ``false`` in any
    case. Anything else is compared as text. An absent tag equals an absent tag only.
    """
    if left is None or right is None:
        return left is right
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    if isinstance(left, str):
        return _spells(left, right)
    if isinstance(right, str):
        return _spells(right, left)
    return left == right


def _spells(text: str, value: object) -> bool:
    """Whether a text spells a value that is no text."""
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, (int, float)) and len(text) <= MAX_LENGTH and NUMBER.fullmatch(text):
        return as_number(text) == value
    return text == as_text(value)


def as_text(value: object) -> str:
    """Write a value as ``jobs list --tags`` does."""
    return str(value)
