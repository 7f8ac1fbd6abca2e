"""Text of a remote made fit for a terminal: it cannot move the cursor. Pure, and for every layer."""

from __future__ import annotations


def safe(text: str) -> str:
    """Escape whatever is no plain printable character: control and format characters, lone surrogates."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def safe_lines(text: str) -> str:
    """Escape each line of a text by itself: its line breaks stay, trailing ones do not."""
    return "\n".join(safe(line) for line in text.rstrip().splitlines())
