"""The agent's transfer to a host: packed, started by a command, and greeted."""

from __future__ import annotations

import ast
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.link.agent_host import LIMIT, Talk
from tests.link.remote_shells import any_shell, make_workspace, posix_shell
from tests.support.conversation import Json
from xpm_remote.errors import RemotePathError, StartError
from xpm_remote.link.remote.agent import (
    INTERPRETERS,
    LOADER,
    Greeting,
    agent_command,
    names_interpreter,
)
from xpm_remote.link.remote.bundle import AGENT, IMPORTER, Bundle, agent_bundle, pack
from xpm_remote.link.remote.command import remote_command
from xpm_remote.link.remote.startup import BEGIN, LINE_KEPT, MARK, NOISE_KEPT, Startup
from xpm_remote.rpc.protocol import first_requests
from xpm_remote.workspace.agent.wire import INVALID_PARAMS, METHOD_NOT_FOUND

pytestmark = pytest.mark.slow

IMPORTER_SOURCE = agent_bundle().sources[IMPORTER]


def run(
    bundle: Bundle, *arguments: str, stdin: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Start a python with the loader, and send it a bundle."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOADER, *arguments],
        input=bundle.payload if stdin is None else stdin,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )


def program(text: str, **modules: str) -> Bundle:
    """Pack a program in place of the agent, with further modules beside it."""
    packages = ("xpm_remote", "xpm_remote.workspace", "xpm_remote.workspace.agent")
    sources = {f"{each}.__init__": "" for each in packages}
    sources.update({IMPORTER: IMPORTER_SOURCE, AGENT: text})
    sources.update({f"xpm_remote.workspace.{name}": source for name, source in modules.items()})
    return pack(sources)


def test_pack_is_reproducible() -> None:
    """The same sources make the same bytes, whatever the order of names in a directory or in memory."""
    code = (
        "import hashlib, pathlib, sys; old = pathlib.Path.iterdir\n"
        "pathlib.Path.iterdir = lambda path: iter(sorted(old(path), reverse=sys.argv[1] == '1'))\n"
        "from xpm_remote.link.remote.bundle import agent_bundle\n"
        "print(hashlib.sha256(agent_bundle().payload).hexdigest())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code, seed],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1
    assert pack({"a": "1"}).payload != pack({"a": "2"}).payload


def test_bundle_holds_the_whole_folder() -> None:
    """Every module of the folder is sent, and no other module of the package."""
    bundle = agent_bundle()
    names = {each.replace(".__init__", "") for each in (*bundle.sources, *bundle.others)}
    folder = Path(__file__).parents[3] / "xpm_remote" / "workspace"
    modules = {path.relative_to(folder.parent).with_suffix("") for path in folder.rglob("*.py")}
    dotted = {f"xpm_remote.{'.'.join(each.parts)}".replace(".__init__", "") for each in modules}
    assert names == {"xpm_remote", *dotted}


def test_monitoring_needs_no_other_module(tmp_path: Path) -> None:
    """What is sent at first is enough to follow a workspace and its logs; another request brings the rest, once."""
    with Talk(make_workspace(tmp_path / "ws")) as talk:
        talk.greet()
        talk.result("subscribe", since=None)
        talk.notice("notification.loaded")
        talk.result("list_jobs")
        talk.result("judge", experiments={})
        before = talk.modules_sent
        for _ in range(2):
            assert talk.result("find_orphans") is not None
        assert (before, talk.modules_sent) == (0, 1)


def test_modules_that_do_not_come(tmp_path: Path) -> None:
    """An agent that waits for modules ends with its stdin; what is no modules is refused."""
    with Talk(make_workspace(tmp_path / "ws"), sends_modules=False) as talk:
        talk.greet()
        request = {"jsonrpc": "2.0", "id": 1, "method": "find_orphans", "params": {}}
        talk.write(json.dumps(request).encode() + b"\n")
        talk.notice("notification.modules_needed")
        assert talk.call("modules", packed=1)["error"]["code"] == INVALID_PARAMS
        assert talk.end()[2] == 0


def code(source: str) -> tuple[str, list[int]]:
    """Return what Python reads of a source, except lone texts and the types of results, and the lines of statements."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not is_text(each)]  # type: ignore[attr-defined]
    return ast.dump(tree), [each.lineno for each in ast.walk(tree) if isinstance(each, ast.stmt)]


def is_text(node: ast.AST) -> bool:
    """Return whether a statement is a text alone."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def test_comments_are_left_out() -> None:
    """The agent is the same program without its comments, each line at its place, in half of the bytes."""
    bundle = agent_bundle()
    folder = Path(__file__).parents[3]
    for name, sent in bundle.sources.items():
        path = folder / f"{name.replace('.', '/')}.py"
        source = path.read_text() if name != "xpm_remote.__init__" else ""
        assert code(sent) == code(source), name
        assert not re.search(r"^ *#", sent, re.MULTILINE)
    assert len(bundle.payload) < 68_500


@pytest.mark.parametrize("eaten", [1, len(BEGIN), 5000, None])
def test_input_that_is_read_before(eaten: int | None, tmp_path: Path) -> None:
    """Where something has read the beginning of the bundle, or all of it, the python asks for it again."""
    path = make_workspace(tmp_path / "ws")
    size = len(agent_bundle().payload) if eaten is None else eaten
    command = agent_command(str(path), python=sys.executable, compress=False)
    with Talk(path, command=f"head -c {size} >/dev/null; {command}") as talk:
        talk.greet()
        assert talk.greeting.was_lost
        assert talk.result("ping")["time"] > 0


@posix_shell
def test_a_login_file_that_waits_for_a_line_still_waits(shell: str) -> None:
    """What is sent at first has no end of a line: it answers no question of a login file."""
    words = [shell, "-c", "read -r project; echo answered"]
    payload = agent_bundle().payload
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as waiting:
        assert waiting.stdin is not None
        waiting.stdin.write(payload)
        waiting.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.3)
        waiting.kill()


@any_shell
def test_a_shell_that_reads_it_does_nothing(shell: str, tmp_path: Path) -> None:
    """A shell that a login file starts on our input finds a comment, or the name of no command, and no more."""
    done = subprocess.run(
        [shell],
        input=agent_bundle().payload,
        capture_output=True,
        timeout=LIMIT,
        check=False,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")},
    )
    assert done.stdout == b""
    assert not list(tmp_path.iterdir())


def test_modules_are_imported_as_they_arrive() -> None:
    """While a part is on its way, what came before it runs; only then is the rest of stdin read."""
    text = "print('begun', flush=True)\nfrom xpm_remote.workspace import other\nimport os\n"
    text += "def main(words):\n    print(other.NAME, os.read(0, 100))\n    return 0\n"
    bundle = program(text, other="NAME = 'other'\n" + "x = 1\n" * 10_000)
    words = [sys.executable, "-I", "-S", "-c", LOADER]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as python:
        assert python.stdin is not None
        assert python.stdout is not None
        python.stdin.write(bundle.payload[:-1])
        python.stdin.flush()
        assert python.stdout.readline() == b"begun\n"
        python.stdin.write(bundle.payload[-1:] + b"request\n")
        python.stdin.close()
        assert python.stdout.read() == b"other b'request\\n'\n"


def test_requests_of_the_command(tmp_path: Path) -> None:
    """Requests that came with the command are answered in their order, without any input but the bundle."""
    path = make_workspace(tmp_path / "ws")
    asked = first_requests((("get_sync_info", {}), ("nothing", {}), ("subscribe", {"since": None})))
    command = agent_command(str(path), python=sys.executable, compress=False, asked=asked)
    with Talk(path, command=command) as talk:
        talk.greet()
        answers: list[Json] = []
        while len(answers) < 3:
            message = talk.read()
            answers += [message] if "id" in message else []
        assert [each["id"] for each in answers] == [1, 2, 3]
        assert answers[0]["result"]["workspace_path"] == str(path)
        assert answers[1]["error"]["code"] == METHOD_NOT_FOUND
        assert answers[2]["result"] == {"subscribed": True}


def test_loader_can_be_quoted_by_any_shell() -> None:
    """The loader is one line without the characters that login shells treat differently."""
    assert not set("\n\\!'") & set(LOADER)


def test_arguments_and_status() -> None:
    """The program gets its arguments, and its result is the exit status."""
    done = run(program("def main(words):\n    print(words)\n    return 7\n"), "a b", "c")
    assert (done.returncode, done.stdout) == (7, b"['a b', 'c']\n")


def test_rest_of_stdin_is_left() -> None:
    """The loader reads the bundle from stdin and not one byte more."""
    bundle = program("import os\ndef main(words):\n    print(os.read(0, 100))\n    return 0\n")
    assert run(bundle, stdin=bundle.payload + b"{}\n").stdout == b"b'{}\\n'\n"


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:]]
)
def test_damaged_bundle_is_not_run(damage: object) -> None:
    """Bytes without the digest of the command line are reported and not executed."""
    bundle = program("def main(words):\n    print('ran')\n    return 0\n")
    assert callable(damage)
    done = run(bundle, stdin=damage(bundle.payload))
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"the agent arrived damaged" in done.stderr


@pytest.mark.parametrize("taken", ["</dev/null", "<&-"])
def test_no_input(taken: str, workspace: Path) -> None:
    """Login files that take or close stdin are named as that."""
    command = agent_command(str(workspace), python=sys.executable, compress=False)
    with Talk(workspace, command=f"exec {taken}; {command}") as talk:
        out, err, status = talk.end()
        assert talk.greeting.feed(out) is None
        error = talk.greeting.failure(status, err)
    assert "its stdin is closed" in str(error)
    assert "exec </dev/null" in error.hint


def test_tracebacks_have_source_lines() -> None:
    """A traceback of a module in memory has its file, line and text."""
    bundle = program(
        "from xpm_remote.workspace import other\ndef main(words):\n    other.fail()\n",
        other="def fail():\n    raise ValueError('at this line')  # here\n",
    )
    said = run(bundle).stderr.decode()
    assert 'File "xpm-remote:xpm_remote/workspace/other.py", line 2, in fail' in said
    assert "raise ValueError('at this line')  # here" in said


def test_unknown_module() -> None:
    """A module that was not sent is not found elsewhere."""
    bundle = program("import xpm_remote.workspace.nothing\n")
    assert b"No module named 'xpm_remote.workspace.nothing'" in run(bundle).stderr


def test_nothing_is_written(tmp_path: Path) -> None:
    """No file is created on the remote, in the home, in the directory, or in that for temporary files."""
    workspace, home = make_workspace(tmp_path / "ws"), tmp_path / "home"
    home.mkdir()
    environ = {"HOME": str(home), "TMPDIR": str(home), "PATH": os.environ["PATH"]}
    with Talk(workspace, environ=environ, directory=home) as talk:
        talk.greet()
        talk.result("list_jobs")
        talk.end()
    assert not list(home.iterdir())
    assert [path.name for path in workspace.iterdir()] == [".__experimaestro__"]


def test_neither_directory_nor_environment_counts(tmp_path: Path) -> None:
    """A json.py in the home, a PYTHONPATH and a startup file have no effect."""
    (tmp_path / "json.py").write_text("raise SystemExit('not this one')\n")
    workspace = make_workspace(tmp_path / "ws")
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "LC_ALL": "C"}
    with Talk(workspace, environ=environ, directory=tmp_path) as talk:
        talk.greet()
        assert talk.result("ping")["time"] > 0


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An empty workspace, with a path that must be quoted."""
    return make_workspace(tmp_path / "it's $HOME \\ a workspace!")


def environ(folder: Path, **programs: str) -> dict[str, str]:
    """Return an environment whose PATH has only these programs; each is a shell script, or ``real``."""
    folder.mkdir(exist_ok=True)
    for name, text in programs.items():
        path = folder / name.replace("_", ".")
        if text == "real":
            path.symlink_to(sys.executable)
        else:
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
    return {"PATH": str(folder), "HOME": str(folder)}


OLD = 'case "$*" in *base64*) exit 3;; *) printf 3.6.8;; esac'
"""An interpreter that is too old."""


REASON = "libssl.so.3: cannot open shared object file"
BROKEN = f'echo "{REASON}" >&2; echo "Note: see the manual" >&2; exit 127'
"""An interpreter that cannot start, with advice of its own."""


@any_shell
def test_every_login_shell(shell: str, workspace: Path) -> None:
    """With every login shell, the agent is started behind shell_init, and requests reach it."""
    command = agent_command(str(workspace), python=sys.executable, compress=True)
    whole = remote_command(command, workspace=str(workspace), shell_init="cd /")
    with Talk(workspace, command=whole, shell=shell, compress=True) as talk:
        startup = Startup()
        while (rest := startup.feed(os.read(talk.stdout.fileno(), 65536))) is None:
            pass
        rest = talk.greeting.feed(rest)
        while rest is None:
            rest = talk.greeting.feed(os.read(talk.stdout.fileno(), 65536))
        talk._take(rest)
        assert talk.greeting.compressed
        assert talk.result("get_sync_info")["workspace_path"] == str(workspace)


def test_requests_may_follow_at_once(workspace: Path) -> None:
    """Requests sent right behind the bundle, before any answer, are answered."""
    more = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n{"jsonrpc":"2.0","id":2,"method":"ping"'
    with Talk(workspace, more=more + b"}") as talk:
        talk.greet()
        out, err, status = talk.end()
        assert b'"id":1' in out + talk._buffer
        assert b'"id":2' in out + talk._buffer
        assert (err, status) == ("", 0)


@pytest.mark.parametrize(
    ("programs", "version"),
    [
        ({"python3": "real"}, sys.version_info),
        ({"python3": OLD, "python3_12": "real"}, sys.version_info),
        ({"python3": "exit 1", "python3_13": OLD, "python3_8": "real"}, sys.version_info),
    ],
)
def test_first_that_works(
    programs: dict[str, str], version: tuple[int, ...], workspace: Path, tmp_path: Path
) -> None:
    """The first interpreter of the list that is new enough and works is used."""
    with Talk(workspace, python=None, environ=environ(tmp_path / "bin", **programs)) as talk:
        talk.greet()
        agent = talk.result("get_sync_info")["agent"]
        assert agent["python"] == ".".join(map(str, version[:3]))


@pytest.mark.parametrize(
    ("python", "programs", "said"),
    [
        (None, {}, ", ".join(f"{name} (not found)" for name in INTERPRETERS)),
        (None, {"python3": OLD, "python3_9": "exit 1"}, "tried python3 (3.6.8), python3.13 (not"),
        (None, {"python3_9": "exit 1"}, "python3.9 (does not work), python3.8 (not found)"),
        (
            None,
            {"python3_9": BROKEN},
            f"python3.9 (does not work: {REASON}), python3.8 (not found)",
        ),
        (None, {"python3_9": "echo me >&2; exit 1"}, "python3.9 (does not work: me), python3.8"),
        ("python3.11", {"python3": "real"}, "tried python3.11 (not found);"),
        ("~/my python", {"my python": OLD}, "my python (3.6.8);"),
        ("3.7", {}, "tried python3 (not found), python3.13"),
    ],
)
def test_no_interpreter(
    python: str | None, programs: dict[str, str], said: str, workspace: Path, tmp_path: Path
) -> None:
    """Without an interpreter, the error lists the attempts; one named in the settings is tried alone."""
    tools = {name: f'exec {shutil.which(name)} "$@"' for name in ("grep", "tail", "cut")}
    found = environ(tmp_path / "bin", **tools, **programs)
    with Talk(workspace, python=python, environ=found) as talk:
        out, err, status = talk.end()
        assert talk.greeting.feed(out) is None
        error = talk.greeting.failure(status, err)
    assert status == 69
    assert said in str(error)
    assert "no python 3.8 or newer that works" in str(error)
    assert "ssh.python" in str(error)


ISOLATED = 'case "$*" in *base64*) exit 3;; -I*) printf 3.6.8;; *) printf "not isolated";; esac'
OLDER = 'case "$1" in -I*) exit 2;; -EsBS) printf 2.7.18;; *) printf "not isolated";; esac'
"""An interpreter that is older than -I."""


@pytest.mark.parametrize(("old", "version"), [(ISOLATED, "3.6.8"), (OLDER, "2.7.18")])
def test_version_is_asked_for_in_isolation(
    old: str, version: str, workspace: Path, tmp_path: Path
) -> None:
    """An old interpreter that is asked for its version runs nothing of the home or the environment either."""
    with Talk(workspace, python="python3", environ=environ(tmp_path / "bin", python3=old)) as talk:
        out, err, status = talk.end()
        assert talk.greeting.feed(out) is None
        assert f"tried python3 ({version});" in str(talk.greeting.failure(status, err))


@pytest.mark.parametrize(
    ("python", "is_program"),
    [
        ("python3.11", True),
        ("python", True),
        ("pypy3.10", True),
        ("/usr/bin/python3", True),
        ("bin/py", True),
        ("~/conda/bin/python", True),
        ("3.11", False),
        (">=3.10", False),
        ("cpython-3.12", False),
        ("cpython@3.12", False),
        ("", False),
    ],
)
def test_names_interpreter(python: str, is_program: bool) -> None:
    """A name or a path is an interpreter; a version or a request is for uv only."""
    assert names_interpreter(python) is is_program


def test_noise_before_the_greeting(workspace: Path) -> None:
    """Output before the greeting, with or without an end of line, is noise."""
    greeting = Greeting()
    data = b"motd\n{not json\xff" + f"\n{MARK} agent deflate\n".encode() + b"\x78\n\x9c"
    assert greeting.feed(data) == b"\x78\n\x9c"
    assert greeting.compressed
    assert greeting.noise == "motd\n{not json\\xff\n"


@given(st.lists(st.integers(0, 60), max_size=8))
def test_greeting_in_pieces(cuts: list[int]) -> None:
    """The greeting is found in any pieces, and what follows is returned unchanged."""
    data = f"login\n\n{MARK} agent plain\n".encode() + b"{}\n\nrest"
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    greeting, given_back = Greeting(), None
    for start, end in itertools.pairwise(edges):
        if given_back is None:
            given_back = greeting.feed(data[start:end])
        else:
            given_back += data[start:end]
    assert given_back == b"{}\n\nrest"
    assert not greeting.compressed


def test_noise_is_bounded() -> None:
    """Endless noise, in one line or many, takes no more than a screenful."""
    greeting = Greeting()
    assert greeting.feed(b"x" * (LINE_KEPT + 1)) is None
    for _ in range(100):
        greeting.feed(b"y" * 200 + b"\n")
    assert len(greeting.noise) == NOISE_KEPT


@pytest.mark.parametrize(
    ("status", "stderr", "said"),
    [
        (
            1,
            "Traceback\n  one\nValueError: x\n",
            "with exit status 1 before it answered: Traceback | one | ValueError: x",
        ),
        (None, "", "by a signal before it answered;"),
        (66, "", "with exit status 66 before it answered;"),
    ],
)
def test_failure(status: int | None, stderr: str, said: str) -> None:
    """An agent that ends before its greeting is an error with its status and its last output."""
    error = Greeting().failure(status, stderr)
    assert said in str(error)
    assert isinstance(error, StartError)


def test_no_workspace() -> None:
    """An agent that says that its directory cannot be served is an error about that directory."""
    error = Greeting().failure(66, "noise\n/ws is no directory; choose another\n")
    assert isinstance(error, RemotePathError)
    assert (error.what, error.hint) == ("/ws is no directory", "choose another")


def test_noise_is_told_when_stderr_is_empty() -> None:
    """Output on stdout is quoted where stderr is empty."""
    greeting = Greeting()
    greeting.feed(b"module: command not found\n")
    assert "module: command not found" in str(greeting.failure(1, " \n"))


def test_command_is_one_line() -> None:
    """The command has no newline, and its words are the intended ones."""
    command = agent_command("~/w s", python=None, compress=False)
    assert "\n" not in command
    assert shlex.split(command)[-len(INTERPRETERS) - 2 :] == ["~/w s", "plain", *INTERPRETERS]
