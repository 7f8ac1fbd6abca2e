"""A persistent shell on the test server: starting one through a container engine takes longer than most commands."""

from __future__ import annotations

import json
import shlex
import subprocess
import threading

COMMAND_LIMIT = 60.0
"""Seconds for a command on the server; what takes longer is spawned and waited for by itself."""
END_LIMIT = 10.0
"""Seconds for a shell to end when it has nothing more to read."""

_LOOP = """\
import json, subprocess, sys
for line in sys.stdin:
    command, text = json.loads(line)
    done = subprocess.run(["bash", "-c", command], input=text.encode(), capture_output=True)
    said = (done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    print(json.dumps((done.returncode, *said)), flush=True)
"""

SHELL_COMMAND = shlex.join(["python3", "-c", _LOOP])
"""The command line of the server's end of a :class:`Shell`."""


class Shell:
    """Runs bash commands one after the other, each in a process of its own.

    Args:
        argv: The local command that starts ``SHELL_COMMAND``.
    """

    def __init__(self, argv: list[str]) -> None:
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, command: str, text: str) -> tuple[int, str, str]:
        """Run a command with a text as its stdin; return its status, stdout and stderr.

        Raises:
            TimeoutError: It took more than ``COMMAND_LIMIT``, and was ended with the shell.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watchdog = threading.Timer(COMMAND_LIMIT, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(json.dumps((command, text)) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        if not answer:
            raise TimeoutError(f"the shell of the test server ended in `{command}`")
        status, stdout, stderr = json.loads(answer)
        return status, stdout, stderr

    def close(self) -> None:
        """End it."""
        try:
            self._process.communicate(timeout=END_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
