"""The agent: it serves a workspace on stdin and stdout.

It ends when its stdin does. One thread only reads stdin, so that the end is noticed whatever the others do; requests
are answered in their order by a second one, those that must not wait behind a long one (logs) by a third, those about
single jobs by a fourth, those that wait for SLURM by a fifth, and those that must not wait for the disk (``ping``) by a
sixth. An action that has begun is
completed, also when the link is lost meanwhile.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Sequence, Union

from xpm_remote.workspace.agent.requests import Requests
from xpm_remote.workspace.agent.wire import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    DeflateStream,
    Method,
    ParameterError,
    Params,
    PlainStream,
    Refusal,
    Request,
    RequestReader,
    Stream,
    answer,
    notice,
    read_requests,
    refuse,
)
from xpm_remote.workspace.failures import NOT_A_WORKSPACE, WorkspaceFailure, explain
from xpm_remote.workspace.optional import zlib
from xpm_remote.workspace.processes import Host
from xpm_remote.workspace.reading.reader import WorkspaceReader, check_workspace

GREETING = "@xpm-remote agent"
"""Begins the line after which everything on stdout is the protocol."""

END_GRACE = 2.0
"""Seconds after the end of stdin in which earlier requests are still answered."""

GOODBYE_LIMIT = 0.5
"""Seconds for the client to read the last line, when an action took longer than ``END_GRACE``."""

CHECK_LIMIT = 3.0
"""Seconds for the first look at the workspace; after it the agent serves, and tells what it waits for."""

COLLECT_AFTER = 100_000
"""New objects between two garbage collections: a hundred thousand jobs are many objects without a cycle."""

READ_SIZE = 64 * 1024
"""Bytes of stdin read at once."""

Message = Union[Request, Refusal]


class Output:
    """The stdout of this process.

    Args:
        descriptor: Where bytes go.
        stream: How lines become bytes.
    """

    def __init__(self, descriptor: int, stream: Stream) -> None:
        self._descriptor = descriptor
        self._stream = stream
        self._lock = threading.Lock()
        self.is_broken = False
        """Whether the reader is gone."""

    def send(self, line: bytes) -> None:
        """Send a line, waiting for room; without effect once the reader is gone."""
        with self._lock:
            if self.is_broken:
                return
            left = memoryview(self._stream.pack(line))
            try:
                while left:
                    left = left[os.write(self._descriptor, left) :]
            except OSError:
                self.is_broken = True

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification."""
        self.send(notice(method, params))


class Lane:
    """Requests that are answered one after the other.

    Args:
        name: The thread's name, as tracebacks show it.
        table: The methods.
        output: Where answers go.
    """

    def __init__(self, name: str, table: dict[str, Method], output: Output) -> None:
        self._table = table
        self._output = output
        self._waiting: queue.Queue[Message | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, message: Message) -> None:
        """Queue a request."""
        self._waiting.put(message)

    def end(self, limit: float) -> None:
        """Wait until all queued requests are answered, at most so many seconds."""
        self._waiting.put(None)
        self._thread.join(max(limit, 0.0))

    def _run(self) -> None:
        while True:
            message = self._waiting.get()
            if message is None:
                return
            self._output.send(respond(message, self._table))


def respond(message: Message, table: dict[str, Method]) -> bytes:
    """Return the line that answers a request."""
    if isinstance(message, Refusal):
        return refuse(message)
    method = table.get(message.method)
    if method is None:
        return refuse(Refusal(message.id, METHOD_NOT_FOUND, f"no method {message.method!r}"))
    try:
        return answer(message.id, method(message.params))
    except ParameterError as error:
        return refuse(Refusal(message.id, INVALID_PARAMS, str(error)))
    except WorkspaceFailure as failure:
        return _refuse_for(message.id, failure)
    except OSError as error:
        return _refuse_for(message.id, WorkspaceFailure(explain(error, Path("the workspace"))))
    except ImportError as error:
        python = ".".join(map(str, sys.version_info[:3]))
        lack = WorkspaceFailure(
            f"the python {python} there cannot do this: {error}", "set ssh.python to another one"
        )
        return _refuse_for(message.id, lack)
    except Exception as error:  # noqa: BLE001  (a bug in one request must not end the others)
        traceback.print_exc()
        return refuse(Refusal(message.id, INTERNAL_ERROR, f"{type(error).__name__}: {error}"))


def _refuse_for(request: int | str, failure: WorkspaceFailure) -> bytes:
    data = {"kind": failure.kind, "what": failure.what, "hint": failure.hint}
    return refuse(Refusal(request, INTERNAL_ERROR, str(failure), data))


class Modules:
    """The modules that were not sent at first: an import of one waits until the client has sent all.

    Args:
        output: Where they are asked for.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._asking = threading.Lock()
        self._have_arrived = threading.Event()
        self._sources: dict[str, str] = {}
        for finder in sys.meta_path:
            if hasattr(finder, "fetch"):  # our importer; none where the agent is run from files
                finder.fetch = self.fetch

    def fetch(self) -> dict[str, str]:
        """Return the text of each by its dotted name; none once the client is gone."""
        with self._asking:
            if not self._have_arrived.is_set():
                self._output.notify("notification.modules_needed", {"packed": zlib is not None})
                self._have_arrived.wait()
        return self._sources

    def take(self, params: Params) -> None:
        """Take what the client has sent: ``packed``, or ``plain`` where this python cannot unpack it."""
        packed, plain = params.get("packed"), params.get("plain")
        if isinstance(packed, str) and zlib is not None:
            plain = json.loads(zlib.decompress(base64.b64decode(packed)).decode())
        if not isinstance(plain, dict):
            message = "the modules are packed, or plain"
            raise ParameterError(message)
        self._sources = plain
        self._have_arrived.set()

    def end(self) -> None:
        """Let imports that wait fail: the client is gone."""
        self._have_arrived.set()


class Agent:
    """Serves one workspace.

    Args:
        root: Its directory.
        output: Where answers and notifications go.
        polls_only: Whether to do without inotify.

    Raises:
        NotAWorkspaceFailure: There is no workspace.
    """

    def __init__(self, root: Path, output: Output, *, polls_only: bool = False) -> None:
        host = Host()
        check_soon(root)
        reader = WorkspaceReader(root, host, check=False)
        self._output = output
        self._modules = Modules(output)
        self._requests = Requests(reader, host, output.notify, polls_only=polls_only)

    def serve(self, stdin: int, asked: Sequence[Message] = ()) -> None:
        """Answer requests until they end.

        Args:
            stdin: Where they come from.
            asked: Those that came with the command.
        """
        tables = {
            "requests": self._requests.slow(),
            "quick-requests": self._requests.quick(),
            "inspecting-requests": self._requests.inspecting(),
            "asking-requests": self._requests.asking(),
            "prompt-requests": self._requests.prompt(),
        }
        lanes = {name: Lane(name, table, self._output) for name, table in tables.items()}
        by_method = {method: lanes[name] for name, table in tables.items() for method in table}
        loading: dict[str, Method] = {"modules": self._modules.take}
        # One after the other: the second one may begin to send many pages.
        for message in asked:
            method = message.method if isinstance(message, Request) else ""
            table = next((table for table in tables.values() if method in table), {})
            self._output.send(respond(message, table))
        reader = RequestReader()
        while not self._output.is_broken:
            data = _read(stdin)
            for message in reader.feed(data) if data else reader.end():
                method = message.method if isinstance(message, Request) else ""
                if method in loading:  # at once: what has a lane may wait for them
                    self._output.send(respond(message, loading))
                else:
                    by_method.get(method, lanes["requests"]).put(message)
            if not data:
                break
        self._requests.stop()
        self._modules.end()
        end = time.monotonic() + END_GRACE
        for lane in lanes.values():
            lane.end(end - time.monotonic())
        self._requests.await_actions()
        self._say_goodbye(end)

    def _say_goodbye(self, end: float) -> None:
        """Announce the end as the reference server does; in a thread, since without a reader sending never returns."""
        notice = ("notification.shutdown", {"reason": "server_shutdown"})
        goodbye = threading.Thread(target=self._output.notify, args=notice, daemon=True)
        goodbye.start()
        goodbye.join(max(end - time.monotonic(), GOODBYE_LIMIT))


def check_soon(root: Path) -> None:
    """Raise unless a directory is a workspace; if its file server does not say so soon, that is told later.

    Raises:
        NotAWorkspaceFailure: It is not one, or cannot be read.
    """
    failures: list[WorkspaceFailure] = []

    def check() -> None:
        try:
            check_workspace(root)
        except WorkspaceFailure as failure:
            failures.append(failure)

    thread = threading.Thread(target=check, name="check", daemon=True)
    thread.start()
    thread.join(CHECK_LIMIT)
    for failure in failures:
        raise failure


def main(arguments: Sequence[str]) -> int:
    """Serve a workspace until stdin ends.

    Args:
        arguments: The workspace's directory, then words: ``deflate`` compresses what is sent, ``poll`` does without
            inotify, a list in JSON holds requests that are answered at once; others are ignored.

    Returns:
        The exit status.
    """
    root, *words = arguments
    # A lost link is noticed by the end of stdin; the action in hand is completed.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stdin, stdout = _take_stdio()
    stream: Stream = DeflateStream() if "deflate" in words and zlib else PlainStream()
    try:
        output = Output(stdout, stream)
        agent = Agent(Path(root), output, polls_only="poll" in words)
    except WorkspaceFailure as failure:
        sys.stderr.write(f"{failure}\n")
        return NOT_A_WORKSPACE
    threading.excepthook = _die
    if hasattr(gc, "set_threshold"):  # PyPy collects in another way
        gc.set_threshold(COLLECT_AFTER)
    os.write(stdout, f"\n{GREETING} {stream.name}\n".encode())
    agent.serve(stdin, [each for word in words for each in read_requests(word)])
    sys.stderr.flush()
    # Threads that are still at work, perhaps on a file server that does not answer, are not waited for.
    os._exit(0)


def _take_stdio() -> list[int]:
    """Return private descriptors of stdin and stdout; other output goes to stderr, other input is empty."""
    private = [os.dup(0), os.dup(1)]
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return private


def _read(stdin: int) -> bytes:
    try:
        return os.read(stdin, READ_SIZE)
    except OSError:
        return b""


def _die(failure: Any) -> None:  # noqa: ANN401  (its type has no public name in 3.8)
    """End the agent when one of its threads fails: without it, its notifications would not be true any more."""
    traceback.print_exception(failure.exc_type, failure.exc_value, failure.exc_traceback)
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
