"""A user who is only shown texts."""

from __future__ import annotations


class Reader:
    """A prompter whose user reads and is never asked.

    Attributes:
        told: The texts that were shown.
    """

    obstacle = None

    def __init__(self) -> None:
        self.told: list[str] = []

    def tell(self, text: str) -> None:
        """Keep the text."""
        self.told.append(text)

    async def ask(self, question: str, *, echo: bool) -> str:
        """Ask nothing."""
        raise AssertionError(question, echo)
