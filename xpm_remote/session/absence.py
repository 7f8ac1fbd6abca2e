"""Nobody at the terminal: a lost link is restored without asking, until it shows that only a person can do it."""

from __future__ import annotations

from xpm_remote.errors import LinkError, XpmRemoteError
from xpm_remote.link.prompts import RefusingPrompter

RECONNECTING = "nobody is asked while a lost link is restored"


class Absent(RefusingPrompter):
    """Nobody, for one attempt: whoever was at the terminal may have left it."""

    def __init__(self) -> None:
        super().__init__(RECONNECTING)

    def wanted(self, error: XpmRemoteError) -> str:
        """Say what only a person could have answered, if that alone was missing; empty otherwise.

        Args:
            error: What ended the attempt.
        """
        # Our reason comes back in the error of whoever would have asked; with BatchMode=yes it is another one.
        if not isinstance(error, LinkError) or RECONNECTING not in error.what:
            return ""
        missed = ", ".join(dict.fromkeys(self.missed))
        return error.needs_person or missed or "an interactive login"
