"""The agent's way to a remote python: packed, checked, run from memory; nothing is written there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.link.agent_host import LIMIT, Talk, working_pythons
from tests.link.remote_shells import make_workspace
from xpm_remote.link.remote.agent import AGENT, IMPORTER, LOADER, Bundle, agent_bundle, pack

IMPORTER_SOURCE = json.loads(zlib.decompress(agent_bundle().payload))[IMPORTER]


def run(
    bundle: Bundle, *arguments: str, stdin: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Start a python with the loader, and give it a bundle."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOADER, *bundle.arguments, *arguments],
        input=bundle.payload if stdin is None else stdin,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )


def program(text: str, **modules: str) -> Bundle:
    """Pack a program in place of the agent, and further modules beside it."""
    packages = ("xpm_remote", "xpm_remote.workspace", "xpm_remote.workspace.agent")
    sources = {**dict.fromkeys(packages, ""), IMPORTER: IMPORTER_SOURCE, AGENT: text}
    sources.update({f"xpm_remote.workspace.{name}": source for name, source in modules.items()})
    return pack(sources)


def test_pack_is_reproducible() -> None:
    """The same sources make the same bytes, in whatever order they are given."""
    sources = {"b": "2", "a": "1"}
    assert pack(sources) == pack(dict(reversed(list(sources.items()))))
    assert pack(sources).digest != pack({**sources, "a": "2"}).digest


def test_bundle_holds_the_whole_folder() -> None:
    """Every module of the folder is sent, and nothing else of the package."""
    names = set(json.loads(zlib.decompress(agent_bundle().payload)))
    folder = Path(__file__).parents[3] / "xpm_remote" / "workspace"
    modules = {path.relative_to(folder.parent).with_suffix("") for path in folder.rglob("*.py")}
    dotted = {f"xpm_remote.{'.'.join(each.parts)}".replace(".__init__", "") for each in modules}
    assert names == {"xpm_remote", *dotted}


def test_loader_can_be_quoted_by_any_shell() -> None:
    """The loader is one line without the characters that login shells treat differently."""
    assert not set("\n\\!'") & set(LOADER)


def test_arguments_and_status() -> None:
    """The program gets its arguments, and its result is the exit status."""
    done = run(program("def main(words):\n    print(words)\n    return 7\n"), "a b", "c")
    assert (done.returncode, done.stdout) == (7, b"['a b', 'c']\n")


def test_rest_of_stdin_is_left() -> None:
    """The loader takes the bundle from stdin and not one byte more."""
    bundle = program("import os\ndef main(words):\n    print(os.read(0, 100))\n    return 0\n")
    assert run(bundle, stdin=bundle.payload + b"{}\n").stdout == b"b'{}\\n'\n"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
        lambda data: b"x" + data,
    ],
)
def test_damaged_bundle_is_not_run(damage: object) -> None:
    """Bytes that do not have the digest of the command line are told and not executed."""
    bundle = program("def main(words):\n    print('ran')\n    return 0\n")
    assert callable(damage)
    done = run(bundle, stdin=damage(bundle.payload))
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"the agent arrived damaged" in done.stderr


def test_tracebacks_have_source_lines() -> None:
    """What fails in a module from memory is told with its file, line and text."""
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


@pytest.mark.parametrize("python", working_pythons())
def test_agent_runs_on(python: str, tmp_path: Path) -> None:
    """The agent serves a workspace on every interpreter that this machine has."""
    with Talk(make_workspace(tmp_path / "ws"), python=python) as talk:
        talk.greet()
        info = talk.result("get_sync_info")
        assert info["protocol_version"] == "2.0"
        assert talk.result("list_jobs")["jobs"] == []


def test_nothing_is_written(tmp_path: Path) -> None:
    """On the remote no file is made: not in the home, not in the directory, not in that for temporary files."""
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
    """A json.py in the home, a PYTHONPATH and a startup file do not get in the way."""
    (tmp_path / "json.py").write_text("raise SystemExit('not this one')\n")
    workspace = make_workspace(tmp_path / "ws")
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "LC_ALL": "C"}
    with Talk(workspace, environ=environ, directory=tmp_path) as talk:
        talk.greet()
        assert talk.result("ping")["time"] > 0
