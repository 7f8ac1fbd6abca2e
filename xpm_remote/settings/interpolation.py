"""Environment variables inside the settings' texts: ``${env:X}`` and its other spellings."""

from __future__ import annotations

import re
from collections.abc import Mapping

# ${env:X}, ${env.X}, ${oc.env:X}, ${oc.env.X}. A brace ends the search for the closing one, which keeps the
# search linear on a text full of openings.
_REFERENCE = re.compile(r"\$\{(?:oc\.)?env[:.]([^{}]+)\}")


def variables_in(text: str) -> tuple[str, ...]:
    """The names of the variables that a text refers to, in order."""
    return tuple(_REFERENCE.findall(text))


def interpolate(text: str, environ: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Put the values of the variables in; what they hold is not searched again.

    Returns:
        The new text, in which references to unset variables still stand, and the names of those.
    """
    unset: list[str] = []

    def replace(reference: re.Match[str]) -> str:
        value = environ.get(reference[1])
        if value is None:
            unset.append(reference[1])
            return reference[0]
        return value

    return _REFERENCE.sub(replace, text), tuple(unset)
