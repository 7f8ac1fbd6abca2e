"""Which process is a job's own: real processes that only look as if."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.job_process import LIMIT, Started
from xpm_remote.workspace import ending, processes
from xpm_remote.workspace.ending import OverFailure, end_processes, own_process, runs_script
from xpm_remote.workspace.failures import BusyFailure
from xpm_remote.workspace.layout import JobFiles
from xpm_remote.workspace.locks import is_held


@pytest.fixture
def files(tmp_path: Path) -> JobFiles:
    """The files of a job that has a script and a pid file."""
    directory = tmp_path / "pkg.learn" / "abc"
    directory.mkdir(parents=True)
    files = JobFiles(directory, "learn")
    (directory / "learn.py").write_text("input()")
    files.pid.write_text("{}")
    return files


@contextlib.contextmanager
def process(*words: object, cwd: object = "/") -> Iterator[subprocess.Popen[str]]:
    """Run a program that prints a line when it is ready, until the context ends."""
    with subprocess.Popen(
        [str(word) for word in words],
        cwd=str(cwd),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            assert started.stdout is not None
            started.stdout.readline()
            yield started
        finally:
            started.kill()


def find(files: JobFiles, pid: int) -> processes.ProcessName:
    """Return the process of the job, if it is that."""
    return own_process(files, pid, is_locked=is_held(files.lock))


READY = "print(1, flush=True); input()"


@pytest.mark.parametrize(
    "words",
    [
        ("tail", "-n1", "-f", "{script}"),
        ("tail", "-n1", "-f", "{directory}/learn.out"),
        (sys.executable, "-c", READY, "{script}"),
        (sys.executable, "-uc", READY, "{script}"),
        (sys.executable, "{directory}/other.py", "{script}"),
        (sys.executable, "-m", "other", "{script}"),
        ("sh", "-c", "echo; read x", "{script}"),
        ("{directory}/python-like", "{script}"),
    ],
)
def test_what_only_mentions_the_script(words: tuple[str, ...], files: JobFiles) -> None:
    """A reader of the job's files, and a program that is given its script, are not the job; in its directory, too."""
    directory = files.directory
    (directory / "learn.py").write_text("1\n")
    (directory / "learn.out").write_text("1\n")
    (directory / "other.py").write_text(READY)
    (directory / "python-like").symlink_to(shutil.which("tail") or "")
    filled = [word.format(script=directory / "learn.py", directory=directory) for word in words]
    if "python-like" in words[0]:
        filled.insert(1, "-fn1")
    with process(*filled, cwd=directory) as other:
        assert other.poll() is None
        with pytest.raises(BusyFailure, match="does not run"):
            find(files, other.pid)


@pytest.mark.parametrize(
    ("words", "cwd"),
    [
        (("{script}",), "/"),
        (("-u", "-X", "dev", "-Wignore", "{script}", "-c", "x"), "/"),
        (("learn.py",), "{directory}"),
        (("../abc/learn.py",), "{directory}"),
        (("{link}/learn.py",), "/"),
        (("--check-hash-based-pycs", "never", "-B", "{script}"), "/"),
    ],
)
def test_what_runs_the_script(
    words: tuple[str, ...], cwd: str, files: JobFiles, tmp_path: Path
) -> None:
    """The script is found among the interpreter's options, by whatever path it is named."""
    (files.directory / "learn.py").write_text(READY)
    (tmp_path / "link").symlink_to(files.directory)
    names = {"script": files.directory / "learn.py", "directory": files.directory}
    filled = [word.format(link=tmp_path / "link", **names) for word in words]
    with process(sys.executable, *filled, cwd=cwd.format(**names)) as own:
        assert find(files, own.pid).pid == own.pid


def test_script_started_by_its_first_line(files: JobFiles, tmp_path: Path) -> None:
    """An interpreter of another name counts where the first line of the script names it; a deleted one by its name."""
    script = files.directory / "learn.py"
    interpreter = tmp_path / "interpreter"
    shutil.copy(os.path.realpath("/bin/sh"), interpreter)
    script.write_text(f"#!{interpreter}\necho; read x\n")
    script.chmod(0o755)
    with process(script) as own:
        assert runs_script(own.pid, script)
        script.write_text("#!\n")
        assert not runs_script(own.pid, script)
        script.unlink()
        assert not runs_script(own.pid, script)


def test_script_that_was_removed(files: JobFiles) -> None:
    """A process goes on running a script that is gone."""
    script = files.directory / "learn.py"
    script.write_text(READY)
    with process(sys.executable, script) as own:
        script.unlink()
        assert runs_script(own.pid, script)
        assert not runs_script(own.pid, files.directory / "other.py")


def test_lock_of_another_process(files: JobFiles) -> None:
    """A process that runs the script while another one holds the lock is not, or not yet, the job."""
    started = Started(files.directory, "free")
    try:
        assert find(files, started.pid).pid == started.pid, "it has just been started"
        with files.lock.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(BusyFailure, match="another one holds"):
                find(files, started.pid)
    finally:
        started.end()


def test_lock_held_by_a_child(files: JobFiles) -> None:
    """The lock may be held by a descendant of the process."""
    (files.directory / "learn.py").write_text(
        "import subprocess; subprocess.run(['flock', 'learn.lock', 'sh', '-c', 'echo; read x'])"
    )
    with process(sys.executable, files.directory / "learn.py", cwd=files.directory) as own:
        assert is_held(files.lock)
        assert find(files, own.pid).pid == own.pid
        for member in processes.family(own.pid):
            if member.pid != own.pid:
                os.kill(member.pid, signal.SIGKILL)


def test_thread(files: JobFiles) -> None:
    """The id of a thread of the job is no process, though the system shows one: nothing is said to have ended."""
    script = files.directory / "learn.py"
    script.write_text(
        "import threading; thread = threading.Thread(target=input); thread.start()\n"
        "print(thread.native_id, flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        thread = int(started.stdout.readline())
        assert find(files, started.pid).pid == started.pid
        with pytest.raises(BusyFailure, match="a thread"):
            find(files, thread)
        started.kill()


def test_never_ourselves(files: JobFiles, tmp_path: Path) -> None:
    """A job that asks to kill itself, directly or from a child, is refused: that would end the one who asks."""
    script = files.directory / "learn.py"
    script.write_text(
        "import os, subprocess, sys\n"
        "if len(sys.argv) < 2: sys.exit(subprocess.run([sys.executable, *sys.argv, str(os.getpid())]).returncode)\n"
        "from pathlib import Path\n"
        "from xpm_remote.workspace.ending import own_process\n"
        "from xpm_remote.workspace.layout import JobFiles\n"
        "for pid in (int(sys.argv[1]), os.getpid()):\n"
        "    try: own_process(JobFiles(Path(sys.argv[0]).parent, 'learn'), pid, is_locked=False)\n"
        "    except Exception as error: print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(ending.__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
    )
    assert done.stdout.count("this program is a part of the process") == 2, done


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
def test_process_of_another_user(files: JobFiles) -> None:
    """The process of another user is refused in words, not by a system error; as that user it is the job's."""
    files.directory.parents[1].chmod(0o755)
    started = Started(files.directory)
    ask = (
        "import os, sys; from pathlib import Path\n"
        "from xpm_remote.workspace.ending import own_process\n"
        "from xpm_remote.workspace.layout import JobFiles\n"
        "os.setgid(3001); os.setuid(3001)\n"
        "try: own_process(JobFiles(Path(sys.argv[1]), 'learn'), int(sys.argv[2]), is_locked=True)\n"
        "except Exception as error: print(error)\n"
    )
    words = [sys.executable, "-c", ask, str(files.directory), str(started.pid)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=True)
        assert "is of the user 0" in done.stdout, done
    finally:
        started.end()


def test_end_of_a_process_whose_pid_is_used_again(
    files: JobFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No signal reaches the process that has the pid after the check."""
    with process("sh", "-c", "echo; read x") as other:
        entry = processes.find_process(other.pid)
        assert entry is not None
        before = entry.name._replace(started=entry.name.started - 1)
        assert end_processes(before, LIMIT) == []
        monkeypatch.setattr(processes, "family", lambda pid: [before])
        alive = iter([True])
        monkeypatch.setattr(ending, "is_alive", lambda name: next(alive, False))
        assert end_processes(before, 0.0) == []
        assert other.poll() is None


@pytest.mark.parametrize("has_descriptors", [True, False])
def test_signals_without_descriptors(
    has_descriptors: bool, files: JobFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system has no descriptors of processes, the pid is used right after the check."""
    if not has_descriptors:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    with process("sh", "-c", "echo; read x") as own:
        entry = processes.find_process(own.pid)
        assert entry is not None
        assert end_processes(entry.name, LIMIT) == []
        assert own.wait(LIMIT) == -signal.SIGTERM
        with pytest.raises(OverFailure, match="has ended"):
            find(files, own.pid)


def test_system_without_a_table_of_processes(
    files: JobFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that does not show which process it is gets no signal sent."""
    monkeypatch.setattr(processes, "has_process_table", lambda: False)
    with pytest.raises(BusyFailure, match="does not show"):
        find(files, os.getpid())
    assert json.loads(files.pid.read_text()) == {}
