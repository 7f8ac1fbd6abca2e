"""The probe: run by real shells, and its answers read."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.link.remote_shells import (
    RUN_TIMEOUT,
    any_shell,
    idiom,
    install_stub,
    is_csh,
    make_workspace,
    posix_shell,
)
from xpm_remote.doctor.probe import (
    EXPERIMAESTRO,
    GO,
    UV,
    Answers,
    FileSystem,
    Offset,
    Program,
    Round,
    candidates,
    clock_offset,
    probe_command,
    read_df,
    stderr_noise,
    without_marks,
)
from xpm_remote.link.remote.agent import INTERPRETERS, agent_command
from xpm_remote.link.remote.bundle import Bundle, agent_bundle
from xpm_remote.link.remote.command import RemoteExperimaestro
from xpm_remote.link.remote.startup import MARK, Mark, MarkedStream, NoiseSource

STUB = """\
#!/bin/sh
case $1 in
  --version) echo "a line before"; echo "uv 0.9.1 (abc 2025-01-01)";;
  version) echo "INFO: loading" >&2; echo "2.7.3";;
  tool) shift 3; [ "$1" = --python ] && shift 2; shift; [ "$1" = version ] && echo "2.8.0";;
  *) echo "serving: $*"; cat;;
esac
"""
WORDS = ("shell", "going", "init", "going", "tools", "ready", "looked", "now", "now")


class Probed:
    """A finished run of a probe."""

    def __init__(self, status: int, stdout: bytes, stderr: bytes) -> None:
        self.status = status
        self.stream = MarkedStream()
        self.marks = self.stream.feed(stdout)
        self.stream.end()
        self.stderr = stderr.decode()
        self.answers = Answers()
        for mark in self.marks:
            self.answers.take(mark)

    @property
    def words(self) -> tuple[str, ...]:
        """The marks in the output."""
        return tuple(m.word for m in self.marks if m.word not in ("found", "version", "fact"))


class Host:
    """A home directory with a workspace and stubs of experimaestro and uv.

    Args:
        home: An empty directory.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.workspace = make_workspace(home / "it's a $HOME")
        (self.workspace / "experiments" / "one").mkdir(parents=True)
        (self.workspace / "experiments" / "two").mkdir()
        (self.workspace / "experiments" / "a file").touch()
        self.stub = self.install("bin dir/experimaestro")

    def install(self, name: str) -> Path:
        """Write a stub."""
        path = install_stub(self.home / name)
        path.write_text(STUB)
        return path

    def run(
        self,
        shell: str,
        *,
        remote: RemoteExperimaestro | None = None,
        shell_init: str | None = None,
        workspace: str | None = None,
        answers: str = f"\n\n1\n2\n{GO}\nrequest\n",
        path: str = "",
        bundle: Bundle | None = None,
    ) -> Probed:
        """Run a probe as sshd does; ``answers`` is all its input, except for an agent that it is to become."""
        remote = remote or RemoteExperimaestro(xpm_path=shlex.quote(str(self.stub)))
        server = f"{shlex.quote(str(self.stub))} monitor"
        where = str(self.workspace) if workspace is None else workspace
        if bundle is not None:
            server = agent_command(where, python=sys.executable, compress=False)
        command = probe_command(
            remote, where, shell_init, server, asks_experimaestro=bundle is None
        )
        done = subprocess.run(
            [shutil.which(shell) or shell, "-c", command],
            input=answers.encode() + (b"" if bundle is None else bundle.payload),
            capture_output=True,
            env={"HOME": str(self.home), "PATH": path + os.environ["PATH"], "TZ": "UTC"},
            cwd=self.home,
            timeout=RUN_TIMEOUT,
            check=False,
        )
        return Probed(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A home directory with a workspace."""
    return Host(tmp_path)


@pytest.mark.slow
class TestShells:
    """Every login shell runs it alike."""

    @any_shell
    def test_whole_way(self, host: Host, shell: str) -> None:
        """It goes through its steps, reports the time on request, and becomes the server, which gets the rest."""
        began = time.time()
        probed = host.run(shell)
        assert (probed.status, probed.words) == (0, WORDS)
        assert probed.answers.experiments == 2
        assert probed.answers.problems == []
        assert probed.answers.pythons(INTERPRETERS)[0].path
        assert probed.answers.program(EXPERIMAESTRO).version == "2.7.3"
        assert set(probed.answers.times) == {"1", "2"}
        assert all(began - 1 < told < time.time() + 1 for told in probed.answers.times.values())
        assert probed.stream.noise[NoiseSource.REST].text == "serving: monitor\nrequest\n"

    @any_shell
    def test_agent(self, host: Host, shell: str) -> None:
        """It becomes the agent, too, without looking for experimaestro and uv."""
        host.install("on the path/uv")
        path = f"{host.home}/on the path:"
        probed = host.run(shell, answers=f"\n\n1\n{GO}\n", path=path, bundle=agent_bundle())
        assert (probed.status, probed.words[-1]) == (0, "agent")
        assert set(probed.answers.times) == {"1"}
        assert set(probed.answers.programs) <= set(map(str, range(len(INTERPRETERS))))

    @any_shell
    def test_noise_of_init(self, host: Host, shell: str) -> None:
        """Output of shell_init is attributed to it, on both streams, and its variables reach the server."""
        said = "printf 'half a line'; sh -c 'printf \"oops\" >&2'; "
        set_path = idiom(
            shell,
            posix=f"export PATH='{host.home}/bin dir':\"$PATH\"",
            fish=f"set -x PATH '{host.home}/bin dir' $PATH",
            csh=f"setenv PATH '{host.home}/bin dir':\"$PATH\"",
        )
        remote = RemoteExperimaestro(xpm_path="experimaestro")
        probed = host.run(shell, shell_init=said + set_path, remote=remote)
        assert (probed.status, probed.words) == (0, WORDS)
        assert probed.stream.noise[NoiseSource.SHELL_INIT].text == "half a line"
        assert stderr_noise(probed.stderr, NoiseSource.SHELL_INIT).text == "oops"
        assert stderr_noise(probed.stderr, NoiseSource.LOGIN).size == 0
        assert probed.answers.program(EXPERIMAESTRO).version == "2.7.3"

    @any_shell
    def test_init_fails(self, host: Host, shell: str) -> None:
        """When shell_init fails, nothing follows it, and the status is that of shell_init."""
        probed = host.run(shell, shell_init="sh -c 'echo broken >&2; exit 7'")
        assert (probed.status, probed.words) == (7, ("shell", "going"))
        assert without_marks(probed.stderr) == "broken\n"

    @posix_shell
    def test_init_with_errexit(self, host: Host, shell: str) -> None:
        """A ``set -e`` among the commands counts."""
        probed = host.run(shell, shell_init="set -e; false; true")
        assert probed.words == ("shell", "going")
        assert probed.status == 1

    @any_shell
    def test_no_workspace(self, host: Host, shell: str) -> None:
        """A directory that is no workspace ends it, after the report of the tools."""
        probed = host.run(shell, workspace="/no/such place")
        assert probed.status == 66
        assert probed.words == ("shell", "going", "init", "going", "tools", "path")
        assert Mark("path", "missing") in probed.marks

    @any_shell
    def test_end_of_input(self, host: Host, shell: str) -> None:
        """It ends with its stdin, and starts no server then."""
        probed = host.run(shell, answers="\n\n1\n")
        assert probed.status == 1
        assert "serving" not in probed.stream.noise[NoiseSource.REST].text


PYENV = """\
pyenv: python3.11: command not found

The `python3.11' command exists in these Python versions:
  3.11.7

Note: See 'pyenv help global' for tips on allowing both
      python2 and python3 to be found."""
ASDF = """\
No version is set for command python3
Consider adding one of the following versions in your config file at /home/me/.tool-versions
python 3.11.7"""
MISE = """\
mise ERROR No version is set for shim: python3
Set a global default version with one of the following:
mise use -g python@3.11.7"""
SHIMS = [PYENV, ASDF, MISE]


@pytest.mark.slow
class TestTools:
    """Which programs it finds."""

    def test_uv(self, host: Host) -> None:
        """Without an xpm_path, uv is asked for what it has cached."""
        host.install("tools/uv")
        probed = host.run(
            "sh", remote=RemoteExperimaestro(python="3.12"), path=f"{host.home}/tools:"
        )
        assert probed.answers.program(UV).path == f"{host.home}/tools/uv"
        assert probed.answers.program(UV).version == "0.9.1"
        assert probed.answers.program(EXPERIMAESTRO).version == "2.8.0"

    def test_named_python(self, host: Host) -> None:
        """An interpreter named in the settings is the only candidate, ``~`` being the home."""
        (host.home / "my python").symlink_to(sys.executable)
        remote = RemoteExperimaestro(xpm_path=shlex.quote(str(host.stub)), python="~/my python")
        answers = host.run("sh", remote=remote).answers
        (found,) = answers.pythons(["~/my python"])
        assert found.name == "~/my python"
        assert found.path == f"{host.home}/my python"
        assert found.version == ".".join(map(str, sys.version_info[:3]))
        assert set(answers.programs) <= {"0", UV, EXPERIMAESTRO}

    def test_missing(self, host: Host) -> None:
        """An xpm_path that does not exist is reported with the shell's status and message."""
        answers = host.run("sh", remote=RemoteExperimaestro(xpm_path="/no/such/xpm")).answers
        found = answers.program(EXPERIMAESTRO)
        assert (found.status, found.version) == (127, "")
        assert "/no/such/xpm" in found.said

    @pytest.mark.parametrize("printed", SHIMS)
    def test_shim(self, host: Host, printed: str) -> None:
        """Of the advice of a version manager, the line that tells the cause is reported."""
        shim = host.home / "my python"
        shim.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{printed}\nEND\nexit 127\n")
        shim.chmod(0o755)
        remote = RemoteExperimaestro(xpm_path=shlex.quote(str(shim)), python="~/my python")
        answers = host.run("sh", remote=remote).answers
        (found,) = answers.pythons(["~/my python"])
        assert found.said == printed.splitlines()[0]
        assert found.status == 127
        assert answers.program(EXPERIMAESTRO).said == printed.splitlines()[0]

    def test_variables_before_it(self, host: Host) -> None:
        """Assignments before the program are taken as such."""
        xpm_path = f"FOO=1 {shlex.quote(str(host.stub))}"
        answers = host.run("sh", remote=RemoteExperimaestro(xpm_path=xpm_path)).answers
        assert answers.program(EXPERIMAESTRO).version == "2.7.3"

    def test_clock_without_fractions(self, host: Host) -> None:
        """Where ``date`` has no fractions, python reports the time."""
        date = host.home / "tools" / "date"
        install_stub(date).write_text(
            '#!/bin/sh\ncase $1 in +%s.%N) echo 1700000000.N;; *) exec /bin/date "$@";; esac\n'
        )
        probed = host.run("sh", path=f"{host.home}/tools:")
        assert abs(probed.answers.times["1"] - time.time()) < RUN_TIMEOUT


class TestCommand:
    """The command line of the probe."""

    def test_no_newline_for_csh(self, host: Host) -> None:
        """The command line is one line, whatever a C shell would make of several."""
        assert is_csh("csh")
        command = probe_command(RemoteExperimaestro(), str(host.workspace), None, "server")
        assert "\n" not in command

    @pytest.mark.parametrize(
        ("python", "expected"),
        [
            (None, INTERPRETERS),
            ("3.12", INTERPRETERS),
            ("~/venv/bin/python", ("~/venv/bin/python",)),
            ("python3.9", ("python3.9",)),
        ],
    )
    def test_candidates(self, python: str | None, expected: tuple[str, ...]) -> None:
        """A version for uv is not a program."""
        assert candidates(python) == expected


class TestProgram:
    """The meaning of an answer."""

    @pytest.mark.parametrize(
        ("said", "version"),
        [
            ("2.7.0", "2.7.0"),
            ("uv 0.13.9 (abc)", "0.13.9"),
            ("experimaestro, version 2.8.0.dev3+g1", "2.8.0.dev3+g1"),
            ("nothing", ""),
        ],
    )
    def test_version(self, said: str, version: str) -> None:
        """The version is found in the output."""
        assert Program("x", status=0, said=said).version == version

    def test_failed(self) -> None:
        """A program that failed has no version, whatever it printed."""
        assert Program("x", status=1, said="2.7.0").version == ""

    @pytest.mark.parametrize(
        ("said", "is_old"),
        [("2.6.1", True), ("2.7.0", False), ("2.10", False), ("10.0", False), ("none", False)],
    )
    def test_is_before(self, said: str, is_old: bool) -> None:
        """Versions compare by number; an unknown one is not old."""
        assert Program("x", status=0, said=said).is_before(2, 7) is is_old


class TestAnswers:
    """Malformed marks change nothing."""

    @pytest.mark.parametrize(
        ("word", "rest"),
        [
            ("nonsense", "1"),
            ("fact", "nonsense 1"),
            ("fact", "experiments many"),
            ("fact", "experiments " + "9" * 5000),
            ("fact", "df typed nonsense"),
            ("now", "1 nan"),
            ("now", "1 1e400"),
            ("now", ""),
        ],
    )
    def test_nonsense(self, word: str, rest: str) -> None:
        """An unreadable answer counts as unknown."""
        answers = Answers()
        answers.take(Mark(word, rest))
        assert answers == Answers()

    def test_everything(self) -> None:
        """Each answer is kept under its name; an interpreter is named by its position."""
        answers = Answers()
        for word, rest in (
            ("found", "0 /usr/bin/python3"),
            ("version", "0 0 3.11.2"),
            ("fact", "experiments 14"),
            ("fact", "df plain /dev/sda1 100 40 60 40% /ws"),
            ("now", "1 1700000000.5"),
        ):
            answers.take(Mark(word, rest))
        assert answers.pythons(["python3"]) == [Program("python3", "/usr/bin/python3", 0, "3.11.2")]
        assert answers.experiments == 14
        assert answers.file_system == FileSystem("/dev/sda1", "", 60 * 1024)
        assert answers.times == {"1": 1700000000.5}

    def test_slurm(self) -> None:
        """The file that tells of a job of SLURM may have spaces in its name."""
        answers = Answers()
        answers.take(Mark("slurm", "/my ws/jobs/t.x/aaaa/x.pid"))
        assert answers.slurm == "/my ws/jobs/t.x/aaaa/x.pid"

    def test_version_without_status(self) -> None:
        """A version whose status cannot be read does not count."""
        answers = Answers()
        answers.take(Mark("version", "uv soon 1.0"))
        assert answers.program("uv") == Program("uv", status=None, said="1.0")

    def test_problems(self) -> None:
        """A missing permission is reported with its path."""
        answers = Answers()
        answers.take(Mark("fact", "unreadable /ws/jobs"))
        answers.take(Mark("fact", "unwritable /ws"))
        assert answers.problems[0] == "/ws/jobs may not be read"
        assert answers.problems[1].startswith("/ws may not be written")


class TestFileSystem:
    """Lines of ``df``."""

    @pytest.mark.parametrize(
        ("told", "expected"),
        [
            ("typed /dev/vda ext4 100 50 40 56% /", FileSystem("/dev/vda", "ext4", 40 * 1024)),
            ("typed nas:/a b nfs4 100 50 40 56% /my home", FileSystem("nas:/a b", "nfs4", 40960)),
            ("plain /dev/disk1 100 50 40 56% /", FileSystem("/dev/disk1", "", 40960)),
            ("typed full ext4 100 110 -10 110% /", FileSystem("full", "ext4", 0)),
            ("typed none tmpfs 0 0 0 - /run", FileSystem("none", "tmpfs", 0)),
            ("plain", None),
        ],
    )
    def test_read(self, told: str, expected: FileSystem | None) -> None:
        """Device, type and free bytes are parsed."""
        assert read_df(told) == expected

    @pytest.mark.parametrize(
        ("device", "kind", "is_network"),
        [
            ("/dev/vda", "ext4", False),
            ("overlay", "overlay", False),
            ("10.0.0.1@tcp:/scratch", "lustre", True),
            ("nas:/export", "", True),
            ("//nas/share", "", True),
            ("beegfs_nodev", "beegfs", True),
            ("me@host:/x", "fuse.sshfs", True),
        ],
    )
    def test_network(self, device: str, kind: str, is_network: bool) -> None:
        """A network file system is recognized by its type, or else by its device."""
        assert FileSystem(device, kind, 0).is_network is is_network


class TestClock:
    """Two clocks compared."""

    def test_quickest_round_counts(self) -> None:
        """The host's clock is compared with the middle of the quickest round."""
        rounds = [Round(10.0, 100.0, 14.0), Round(20.0, 110.5, 20.5)]
        assert clock_offset(rounds) == Offset(90.25, 0.25)

    def test_no_round(self) -> None:
        """Without a round the offset is unknown."""
        assert clock_offset([]) is None


class TestStderr:
    """The stderr, section by section."""

    TEXT = f"quota\n\n{MARK} shell\nloading\n{MARK} init\nwarning\n"

    def test_sections(self) -> None:
        """Each section has its own text, even if the marks lost their newlines."""
        assert stderr_noise(self.TEXT, NoiseSource.LOGIN).text == "quota\n"
        assert stderr_noise(self.TEXT, NoiseSource.SHELL_INIT).text == "loading"
        assert without_marks(self.TEXT) == "warning\n"

    def test_beginning_is_lost(self) -> None:
        """When the beginning is not kept, the rest belongs to the later section."""
        assert stderr_noise("ing\n", NoiseSource.SHELL_INIT).text == "ing\n"
        assert stderr_noise("ing\n", NoiseSource.LOGIN).text == ""
        assert without_marks("ing\n") == "ing\n"
