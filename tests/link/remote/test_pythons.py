"""The agent on the interpreters that hosts have: each that is found here, PyPy, and those that lack modules."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.link.agent_host import Talk, working_pythons
from tests.workspace.disk import Disk
from tests.workspace.jobs_on_disk import leftovers, make_folder, make_job
from xpm_remote.link.course import Course
from xpm_remote.link.observer import UNOBSERVED
from xpm_remote.link.process import start_local_agent
from xpm_remote.link.remote.agent import REQUIRED
from xpm_remote.link.remote.bundle import agent_bundle
from xpm_remote.link.transport import Transport, greet_agent
from xpm_remote.link.waits import DEFAULT_LIMITS
from xpm_remote.workspace.layout import Folder, FolderMode, JobId, Layout

pytestmark = pytest.mark.slow

ONE, TWO = (JobId("pkg.learn", letter * 64) for letter in "ab")

LACKING = """#!{ours}
import os, sys
words = sys.argv[1:]
at = words.index("-c") + 1
words[at] = '''
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in {names}:
            raise ModuleNotFoundError("No module named %r" % name)
for name in {names}:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Refuse())
''' + words[at]
os.execv({python!r}, [{python!r}, *words])
"""
"""An interpreter that starts another one, which finds no modules of these names."""


def lacking(folder: Path, *names: str) -> str:
    """Return the path of an interpreter that has no such modules."""
    path = folder / "python3"
    path.write_text(
        LACKING.format(
            ours=sys.executable, python=sys.executable, names=[*names, *(f"_{n}" for n in names)]
        )
    )
    path.chmod(0o755)
    return str(path)


def serve(python: str, folder: Path) -> None:
    """Let an agent do what an interpreter could hinder: report changes, follow a log, archive and recover jobs."""
    disk = Disk(folder / "ws")
    (disk.root / ".events" / "jobs").mkdir(parents=True)
    disk.run("exp", [ONE, TWO])
    disk.job(ONE, {"state": "done"}, done="")
    disk.job(TWO, {"state": "running"}, pid={"type": "local", "pid": 5, "host": "far"})
    with Talk(disk.root, python=python, compress=True) as talk:
        talk.greet()
        assert talk.result("get_sync_info")["protocol_version"] == "2.0"
        assert len(talk.result("list_jobs")["jobs"]) == 2
        watch(talk, disk)
        archive(talk, Layout(disk.root), make_folder(folder / "backup", FolderMode.BACKUP))
        assert talk.end()[1:] == ("", 0)


def watch(talk: Talk, disk: Disk) -> None:
    """Follow a job that runs, and its log."""
    talk.result("subscribe")
    talk.notice("notification.loaded")
    talk.notices.clear()
    event = {"event_type": "JobProgressEvent", "level": 0, "progress": 0.5, "desc": "half"}
    disk.events(TWO, event)
    assert talk.notice("notification.jobs")["rows"][0][7] == [[0, 0.5, "half"]]
    log = disk.root / "jobs" / TWO.task / TWO.hash / "learn.out"
    log.write_text("one\ntwo\n")
    names = {"task_id": TWO.task, "job_id": TWO.hash, "stream": "out"}
    position = talk.result("read_log", lines=1, **names)["position"]
    talk.result("follow_log", name="a", position=position, **names)
    with log.open("a") as file:
        file.write("three\n")
    assert talk.notice("notification.log")["text"] == "three\n"


def archive(talk: Talk, layout: Layout, backup: Folder) -> None:
    """Archive a job, and recover it."""
    job = JobId("demo.train", "ab" * 32)
    make_job(layout, job)
    request = {"folders": [{"path": str(backup.path), "mode": "backup"}], "jobs": [str(job)]}
    assert talk.result("archive", name="a", **request)["outcomes"] == 1
    shutil.rmtree(layout.job(job))
    assert talk.result("recover", name="b", **request)["outcomes"] == 1
    assert layout.job_files(job).done.exists()
    assert leftovers(layout.root, backup.path) == []


@pytest.mark.parametrize("python", working_pythons())
def test_agent_runs_on(python: str, tmp_path: Path) -> None:
    """The agent serves a workspace on every interpreter that this machine has."""
    serve(python, tmp_path)


@pytest.mark.parametrize(
    "names", [("ctypes",), ("fcntl", "resource", "select", "zlib", "socket", "ssl")]
)
def test_optional_modules(names: tuple[str, ...], tmp_path: Path) -> None:
    """A python that lacks what a build may leave out serves as well, with less comfort."""
    serve(lacking(tmp_path, *names), tmp_path)


def test_locks_fail_closed(tmp_path: Path) -> None:
    """A python that cannot ask for a lock watches, but archives nothing, and names the module."""
    disk = Disk(tmp_path / "ws")
    disk.run("exp", [ONE])
    disk.job(ONE, {"state": "done"}, done="")
    folders = [
        {"path": str(make_folder(tmp_path / "backup", FolderMode.BACKUP).path), "mode": "backup"}
    ]
    with Talk(disk.root, python=lacking(tmp_path, "ctypes", "fcntl")) as talk:
        talk.greet()
        assert len(talk.result("list_jobs")["jobs"]) == 1
        talk.result("archive", name="a", folders=folders, jobs=[str(ONE)])
        outcome = talk.notice("notification.outcome")["outcome"]
    assert "the python there has no module fcntl" in json.dumps(outcome)
    assert not list((tmp_path / "backup").rglob("learn.done"))


async def test_agent_of_this_machine_without_zlib(tmp_path: Path) -> None:
    """The client sends the bundle once more, as it was before it was packed, when it is asked to."""
    Disk(tmp_path / "ws")
    python = lacking(tmp_path, "zlib")
    process = await start_local_agent(agent_bundle(), str(tmp_path / "ws"), python=python)
    course = Course(UNOBSERVED, "here", DEFAULT_LIMITS)
    transport = await greet_agent(Transport(process, None), agent_bundle(), course)
    transport.send(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
    assert b'"id":1' in await transport.receive()
    await transport.aclose()


@pytest.mark.parametrize("name", ["json", "queue", "hashlib"])
def test_missing_module_is_named(name: str, tmp_path: Path) -> None:
    """A python that lacks a module which the agent needs is not called too old: the module is named."""
    Disk(tmp_path / "ws")
    with Talk(tmp_path / "ws", python=lacking(tmp_path, name)) as talk:
        out, err, status = talk.end()
        assert talk.greeting.feed(out) is None
        said = str(talk.greeting.failure(status, err))
    version = ".".join(map(str, sys.version_info[:3]))
    assert f"python3 ({version}: No module named '{name}');" in said


def test_module_missing_later_is_named(tmp_path: Path) -> None:
    """What is imported for a request only is named in the answer to that."""
    Disk(tmp_path / "ws")
    with Talk(tmp_path / "ws", python=lacking(tmp_path, "concurrent")) as talk:
        talk.greet()
        folders = [{"path": str(tmp_path), "mode": "backup"}]
        refused = talk.call("archive", name="a", folders=folders, jobs=[])["error"]
        assert "No module named 'concurrent'" in refused["data"]["what"]
        assert "ssh.python" in refused["data"]["hint"]


def test_required_modules() -> None:
    """The list of modules that a python must have is that of what the agent imports when it starts."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r});"
        "import xpm_remote.workspace.agent.program; print(*sys.modules)"
    )
    words = [sys.executable, "-ISB", "-c", code]
    loaded = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    found = {"binascii", "importlib.util", "hashlib", "io", "json"}
    sources = agent_bundle().sources
    for name in {*loaded} & {*sources}:
        for node in ast.parse(sources[name]).body:
            if isinstance(node, ast.Import):
                found |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
    found = {each for each in found if not each.startswith(("xpm_remote", "__future__"))}
    assert sorted(found - {"sys"}) == list(REQUIRED)
