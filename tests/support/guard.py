"""A process that removes a test server when the process that started it is gone, killed or not."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence


class Guard:
    """Commands that run when this process ends without having dismissed the guard.

    Args:
        commands: Program and arguments of each; they run in turn, whatever becomes of them.
    """

    def __init__(self, *commands: Sequence[str]) -> None:
        # The guard's stdin ends with this process: the kernel closes it even after SIGKILL.
        script = "; ".join(["cat", *map(shlex.join, commands)])
        self._process = subprocess.Popen(
            ["sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # What the terminal sends to the tests is not for the guard.
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """End the guard; none of its commands runs."""
        self._process.kill()
        self._process.communicate()
