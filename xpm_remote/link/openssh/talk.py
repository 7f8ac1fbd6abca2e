"""What the program ``ssh`` says on its stderr, among what the remote command says there.

At DEBUG1 it tells, in words that have not changed for many releases, how far it came and whether an exit status is
the remote command's. Whatever else is in there, be it the remote's, is kept for messages. Pure.
"""

from __future__ import annotations

import re

from xpm_remote.link.remote_exit import STDERR_KEPT, RemoteExit

SSH_FAILED = 255
"""The exit status of ``ssh`` when it failed itself. A remote command may have the same."""

_DEBUG = re.compile(rb"debug[1-3]: ")
# It counts what it has transferred, and does not say to whom.
_STATISTICS = re.compile(rb"Transferred: sent \d+, received |Bytes per second: sent [\d.]+, ")
_LOGGED_IN = re.compile(rb"Authenticated to .* using |Authenticated to \S+ \(")
_ASKS = ("Next authentication method: password", "Next authentication method: keyboard-interactive")
_CONNECTING = ("Connecting to ", "Executing proxy command", "Setting up multiplex")
_SHARED = "mux_client_request_session: master session id"
_MASTER_ENDED = "Control master terminated unexpectedly"
_STATUS_TOLD = re.compile(
    r"client_input_channel_req: channel \d+ rtype exit-status|Received exit status from master"
)
_SIGNAL_TOLD = re.compile(r"client_input_channel_req: channel \d+ rtype exit-signal")
_HOST_KEY = re.compile(r"Server host key: (\S+ SHA256:\S+)")
_LOSS = re.compile(
    r"Connection .*(?:closed|reset|timed out|corrupt)|Timeout, server .* not responding"
    r"|client_loop: |Received disconnect|Disconnected from|Read from remote host|Write failed|Bad packet length"
    r"|Corrupted MAC|ssh_dispatch_run_fatal"
)


class SshTalk:
    """Reads the stderr of ``ssh``.

    Attributes:
        is_connecting: Whether it has understood its options and tries to reach the host.
        is_asking: Whether it has come to ways to log in for which a person is asked.
        is_logged_in: Whether the host has let us in, or a ControlMaster has.
        fingerprint: Kind and fingerprint of the host's key, once it was sent.
    """

    def __init__(self) -> None:
        self.is_connecting = False
        self.is_asking = False
        self.is_logged_in = False
        self.fingerprint: str | None = None
        self._status_told = False
        self._signal_told = False
        self._master_ended = False
        self._kept = bytearray()
        self._partial = b""

    @property
    def stderr(self) -> str:
        """The end of what is not about the connection's progress."""
        kept = (bytes(self._kept) + self._partial)[-STDERR_KEPT:]
        return kept.replace(b"\r\n", b"\n").decode("utf-8", "backslashreplace")

    def feed(self, data: bytes) -> tuple[list[str], list[str]]:
        """Take bytes; give the whole lines in them: those of progress, and the others."""
        *lines, partial = (self._partial + data).split(b"\n")
        progress: list[str] = []
        others: list[str] = []
        for line in lines:
            before, told = _split(line)
            if before:
                self._keep(before + (b"" if told else b"\n"))
                others.append(_text(before))
            if told:
                self._note(_text(told))
                progress.append(_text(told))
        if len(partial) > STDERR_KEPT:
            self._keep(partial)
            partial = b""
        self._partial = partial
        return progress, others

    def exit(self, status: int) -> RemoteExit:
        """Say how the remote command ended.

        Args:
            status: The exit status of ``ssh``; negative when a signal ended it.
        """
        if self._status_told:
            return RemoteExit(status, self.stderr, None)
        if self._signal_told:
            return RemoteExit(None, self.stderr, None)
        if status < 0:
            return RemoteExit(None, self.stderr, f"the program ssh was ended by signal {-status}")
        if status == SSH_FAILED:
            return RemoteExit(None, self.stderr, self._loss())
        return RemoteExit(status, self.stderr, None)

    def _loss(self) -> str:
        if self._master_ended:
            return "the ControlMaster has ended, or has ended the session"
        said = [line for line in self.stderr.splitlines() if _LOSS.search(line)]
        return said[-1].strip() if said else "the program ssh does not say why"

    def _keep(self, text: bytes) -> None:
        self._kept += text
        del self._kept[:-STDERR_KEPT]

    def _note(self, line: str) -> None:
        said = line.partition(": ")[2]
        self.is_connecting |= said.startswith(_CONNECTING)
        self.is_asking |= said.startswith(_ASKS)
        self.is_logged_in |= line.startswith("Authenticated to ") or said.startswith(_SHARED)
        self._master_ended |= said.startswith(_MASTER_ENDED)
        self._status_told |= _STATUS_TOLD.match(said) is not None
        self._signal_told |= _SIGNAL_TOLD.match(said) is not None
        key = _HOST_KEY.match(said)
        if key is not None:
            self.fingerprint = key[1]


def _split(line: bytes) -> tuple[bytes, bytes]:
    """Split a line into what was there before, and what ``ssh`` told: the remote may have left a line unfinished."""
    line = line.removesuffix(b"\r")
    if _STATISTICS.match(line) or _LOGGED_IN.match(line):
        return b"", line
    told = _DEBUG.search(line)
    return (line, b"") if told is None else (line[: told.start()], line[told.start() :])


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")
