"""How deeply JSON text is nested, found without decoding it.

Decoders give up at a depth of their own, which varies with the version of Python and with what has called them. Pure.
"""

_OTHERS = bytes(code for code in range(256) if code not in b'[]{}"')
_AS_ARRAYS = bytes.maketrans(b"{}", b"[]")


def is_deeper(text: bytes, levels: int) -> bool:
    """Return whether the arrays and objects of a JSON text are nested more deeply; of other text either is right.

    Args:
        text: The encoded JSON text.
        levels: The levels that are allowed.
    """
    if text.count(b"[") + text.count(b"{") <= levels:
        return False
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Of the parts between two quotation marks, every second one is in a string.
    parts = text.translate(_AS_ARRAYS, _OTHERS).split(b'"')
    brackets = b"".join(parts[::2])
    for _ in range(levels):  # each time without the innermost level
        left = brackets.replace(b"[]", b"")
        if len(left) == len(brackets):
            break
        brackets = left
    return bool(brackets)
