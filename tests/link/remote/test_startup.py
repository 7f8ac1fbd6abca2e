"""The output of the remote command before the server's: marks, noise, the clock, and why it ended."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xpm_remote.errors import RemotePathError, ShellInitError, StartError
from xpm_remote.link.remote.startup import (
    BEGIN,
    LINE_KEPT,
    MARK,
    NOISE_KEPT,
    SAID_SHOWN,
    Mark,
    MarkedStream,
    NoiseSource,
    RemoteClock,
    StartPhase,
    Startup,
    last_words,
    path_error,
    start_failure,
)

WINTER = 1795335047
READY = f"ready {WINTER} +0100 Europe/Paris"
SERVER = b'{"jsonrpc": "2.0"}\nand more'


def mark(words: str) -> bytes:
    """Return a mark as the remote command writes it: on a line of its own, even after text without a newline."""
    return f"\n{MARK} {words}\n".encode()


def fed(data: bytes) -> tuple[Startup, bytes | None]:
    """Feed bytes to a new reader."""
    startup = Startup()
    return startup, startup.feed(data)


# The stage that it reached


@pytest.mark.parametrize(
    ("marks", "stage"),
    [
        ([], StartPhase.LOGIN),
        (["shell"], StartPhase.SHELL_INIT),
        (["shell", "init"], StartPhase.WORKSPACE),
        (["shell", "init", "path missing"], StartPhase.WORKSPACE),
        (["shell", "init", READY], StartPhase.READY),
        (["levitating"], StartPhase.LOGIN),
    ],
)
def test_stages(marks: list[str], stage: StartPhase) -> None:
    """Each mark gives the command's stage; an unknown one has no effect."""
    startup, rest = fed(b"".join(map(mark, marks)))
    assert startup.phase is stage
    assert (rest is not None) == (stage is StartPhase.READY)
    assert startup.noise == ""


def test_nothing_to_prepare() -> None:
    """Without shell_init the login files are followed by the check of the workspace."""
    startup, _ = fed(b"Welcome\n" + mark("init"))
    assert startup.phase is StartPhase.WORKSPACE


def test_what_is_said() -> None:
    """What was printed last is shown, an unfinished line included, and bounded."""
    startup, _ = fed(b"x" * LINE_KEPT + b"\nWelcome\n\nProject? \x1b[1m")
    assert startup.said("") == "Welcome | Project? \x1b[1m"
    assert startup.said("one\ntwo\nthree\n") == "Welcome | Project? \x1b[1m | two | three"
    assert len(startup.said("y" * LINE_KEPT)) == SAID_SHOWN


@pytest.mark.parametrize("size", [0, 100, 3 * LINE_KEPT])
@pytest.mark.parametrize("piece", [1, 1000, 10**6])
def test_what_is_printed_back_is_not_said(size: int, piece: int) -> None:
    """What we have sent, and a login file prints, is neither what the host says nor noise; marks are found after it."""
    startup, output = Startup(), b"Project? " + BEGIN + b"x" * size
    step = piece if size < LINE_KEPT else max(piece, 1000)
    for at in range(0, len(output), step):
        assert startup.feed(output[at : at + step]) is None
    assert startup.said("") == "Project?"
    startup.feed(b"\nYes\n" + mark("init"))
    assert startup.phase is StartPhase.WORKSPACE
    assert startup.noise == "Project? \nYes\n"


@pytest.mark.parametrize("rest", [b"", b"{", SERVER, b"\n\n", mark("path missing")])
def test_what_follows_is_the_servers(rest: bytes) -> None:
    """Every byte after the last mark belongs to the server, even one that looks like a mark."""
    startup, given_back = fed(mark(READY) + rest)
    assert given_back == rest
    assert startup.phase is StartPhase.READY


STREAM = b"motd" + mark("shell") + b"noise\xff\nmore" + mark("init") + mark(READY)


@given(st.lists(st.integers(0, len(STREAM + SERVER)), max_size=10))
def test_any_cut_gives_the_same(cuts: list[int]) -> None:
    """The marks are found in any pieces."""
    stream = STREAM + SERVER
    startup = Startup()
    bounds = sorted({0, *cuts, len(stream)})
    for begin, end in itertools.pairwise(bounds):
        rest = startup.feed(stream[begin:end])
        if rest is not None:
            break
    else:
        pytest.fail("the server was never about to start")
    assert rest + stream[end:] == SERVER
    assert startup.noise == "motd\nnoise\\xff\nmore\n"


def test_byte_by_byte() -> None:
    """The marks are found when every byte comes alone, and not before the last of them."""
    startup = Startup()
    answers = [startup.feed(bytes([byte])) for byte in STREAM]
    assert answers == [None] * (len(STREAM) - 1) + [b""]


# Noise


@pytest.mark.parametrize(
    "line",
    [b"Welcome!", b"42", b'{"jsonrpc": "2.0"}', MARK.encode(), f"{MARK}ready 1".encode(), b"\xe9"],
)
def test_noise(line: bytes) -> None:
    """A line that is no mark is kept as noise, in any form; odd bytes are escaped."""
    startup, rest = fed(line + b"\n" + f" {MARK} {READY}\n".encode())
    assert rest is None
    assert startup.noise.startswith(line.decode("utf-8", "backslashreplace"))
    assert startup.phase is StartPhase.LOGIN


def test_noise_is_bounded() -> None:
    """Of endless noise the beginning is kept, and the mark after it is found."""
    startup, rest = fed(b"first\n" + b"x" * 100 * NOISE_KEPT + b"\nlast" + mark(READY) + SERVER)
    assert rest == SERVER
    assert startup.noise.startswith("first\nxxx")
    assert len(startup.noise) == NOISE_KEPT


def test_line_without_an_end() -> None:
    """A line that never ends is not collected, and the mark after it is found."""
    startup = Startup()
    for _ in range(10):
        assert startup.feed(b"x" * LINE_KEPT) is None
        assert len(startup._partial) <= LINE_KEPT
    assert startup.feed(mark(READY)) == b""
    assert len(startup.noise) == NOISE_KEPT


# The clock


def clock(words: str) -> RemoteClock | None:
    """Return the clock of a mark."""
    startup, rest = fed(mark(f"ready {words}"))
    assert rest == b""
    return startup.clock


@pytest.mark.parametrize(
    "name",
    [
        "Europe/Paris",
        ":Europe/Paris",
        "/usr/share/zoneinfo/Europe/Paris",
        ":/usr/share/zoneinfo/Europe/Paris",
        "../usr/share/zoneinfo/posix/Europe/Paris",
        "/var/db/timezone/zoneinfo/right/Europe/Paris",
    ],
)
def test_zone_by_name(name: str) -> None:
    """A zone that is known here by its name has its rules, however the name is found there."""
    assert clock(f"{WINTER} +0100 {name}") == RemoteClock(WINTER, ZoneInfo("Europe/Paris"))


@pytest.mark.parametrize(
    ("words", "minutes"),
    [
        ("+0530", 330),
        ("-0330 ", -210),
        ("+0000 ", 0),
        ("+0530  ", 330),
        ("+0100 Middle/Earth ", 60),
        ("+0100 Middle/Earth no rules", 60),
        (f"+0100 Middle/Earth {'x' * 200}", 60),
        ("+0100 Middle/Earth", 60),
        ("+0100 Europe", 60),
        ("+0100 /etc/localtime", 60),
        ("+0100 ../../etc/passwd", 60),
        ("+0100 Europe/Par\\xe9s", 60),
        ("+0200 Europe/Paris", 120),
        ("-0500 Etc/UTC", -300),
    ],
)
def test_zone_by_offset(words: str, minutes: int) -> None:
    """Without a known name that agrees with the offset, the offset alone is the zone."""
    zone: tzinfo = timezone(timedelta(minutes=minutes))
    assert clock(f"{WINTER} {words}") == RemoteClock(WINTER, zone)


PARIS = "CET-1CEST,M3.5.0,M10.5.0/3"


@pytest.mark.parametrize(
    "words", [f"Etc/Unknown {PARIS}", f" {PARIS}", PARIS, f"{PARIS} ", f"Asia/Tokyo {PARIS}"]
)
def test_zone_by_rules(words: str) -> None:
    """A zone whose name is not known here, or is wrong, has the rules at the end of the host's file, or those in TZ."""
    told = clock(f"{WINTER} +0100 {words}")
    assert told is not None
    summer, winter = datetime(2026, 7, 1, tzinfo=told.zone), datetime(2026, 12, 1, tzinfo=told.zone)
    assert (summer.utcoffset(), winter.utcoffset()) == (timedelta(hours=2), timedelta(hours=1))


@pytest.mark.parametrize("rules", ["nonsense", "CET-1CEST,M3", "JST-9", "\x7f" * 9, "," * 99])
def test_rules_that_are_none(rules: str) -> None:
    """Rules that cannot be read, or do not have the offset, are not taken."""
    assert clock(f"{WINTER} +0100 Etc/Unknown {rules}") == RemoteClock(
        WINTER, timezone(timedelta(hours=1))
    )


def test_rules_of_a_zone() -> None:
    """A time of the other half of the year has the other offset."""
    told = clock(f"{WINTER} +0100 Europe/Paris")
    assert told is not None
    assert datetime(2026, 7, 1, tzinfo=told.zone).utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize(
    "words",
    ["", "%s +0100", "1795335047", "1795335047 CET", "1 +9900", "1 +0099", f"{10**40} +0000"],
)
def test_no_clock(words: str) -> None:
    """A remote whose date has another format is ready nevertheless, without a clock."""
    assert clock(words) is None


def test_time_beyond_the_calendar() -> None:
    """A clock that is far off keeps its offset."""
    assert clock(f"{10**12 - 1} +0100 Europe/Paris") == RemoteClock(
        10**12 - 1, timezone(timedelta(hours=1))
    )


# Why it ended


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        ("missing", "/ws does not exist, or may not be seen; check the path"),
        ("file", "/ws is not a directory; check the path"),
        ("forbidden", "/ws may not be entered; check its permissions"),
        ("unmarked", "/ws is not an experimaestro workspace"),
        (
            "inside /data/my ws",
            "/ws is a folder inside the workspace /data/my ws; give /data/my ws as",
        ),
        ("strange in some way", "/ws cannot be used (strange in some way); check the path"),
    ],
)
def test_path_problems(problem: str, expected: str) -> None:
    """The problem of the directory is reported, with what to do."""
    startup, _ = fed(mark("shell") + mark("init") + mark(f"path {problem}"))
    error = startup.failure(66, "", "/ws")
    assert isinstance(error, RemotePathError)
    assert str(error).startswith(f"the remote directory {expected}")
    assert str(error) == str(path_error(problem, "/ws"))


def test_outdated() -> None:
    """An experimaestro that was not started for its age is reported with its version and what to do."""
    startup, _ = fed(mark("shell") + mark("init") + mark("old 2.6.1 /my venv/bin/experimaestro"))
    error = startup.failure(69, "", "/ws")
    assert isinstance(error, StartError)
    assert str(error) == (
        "the remote experimaestro 2.6.1 (/my venv/bin/experimaestro) is older than 2.7, and would change the"
        " workspace by looking: it was not started; install a newer one there, or take --backend agent"
    )


@pytest.mark.parametrize(
    ("status", "stderr", "expected"),
    [
        (3, "", "with exit status 3: motd"),
        (None, "", "by a signal: motd"),
        (1, "a\nb\n\n c \nd\n", "with exit status 1: b | c | d"),
    ],
)
def test_shell_init_failed(status: int | None, stderr: str, expected: str) -> None:
    """The failure of shell_init is reported with its status and the last lines of its stderr, on one line."""
    startup, _ = fed(b"motd\n" + mark("shell"))
    error = startup.failure(status, stderr, "/ws")
    assert isinstance(error, ShellInitError)
    assert str(error) == f"shell_init failed {expected}; correct ssh.shell_init"


@pytest.mark.parametrize("output", [b"", b"This account is currently not available.\n"])
def test_shell_ended(output: bytes) -> None:
    """A shell that ends before our first mark is distinguished from a failed shell_init, and its output is reported."""
    startup, _ = fed(output)
    error = startup.failure(1, "", "/ws")
    assert isinstance(error, StartError)
    assert "the remote shell ended with exit status 1 before" in str(error)
    assert (output.decode().strip() in str(error)) or not output


@pytest.mark.parametrize("status", [126, 127])
@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("uv tool run 'experimaestro>=2.7,<3'", "uv"),
        ("~/'my dir'/xpm --flag", "~/my dir/xpm"),
        ("A=1 B_2='x y' /opt/xpm", "/opt/xpm"),
        ("A=1", "A=1"),
    ],
)
def test_program_not_found(status: int, command: str, program: str) -> None:
    """A program that cannot be run is named, with the settings that help."""
    error = start_failure(status, "sh: 1: not found\n", "", command)
    assert str(error).startswith(f"the remote shell cannot run {program}: sh: 1: not found; ")
    assert "ssh.xpm_path" in str(error)


@pytest.mark.parametrize(
    ("status", "how"), [(1, "with exit status 1"), (None, "by a signal"), (0, "with exit status 0")]
)
def test_server_ended(status: int | None, how: str) -> None:
    """A server that ends before it answers is reported with its last output and the command to try."""
    error = start_failure(status, "Traceback:\nValueError\n", "noise", "xpm serve")
    assert str(error) == (
        f"the remote server ended {how} before it answered: Traceback: | ValueError;"
        " try it by hand on the host: xpm serve"
    )


def test_server_that_complains_on_stdout() -> None:
    """When stderr is empty, the output on stdout is reported."""
    error = start_failure(1, " \n", "x is not an experimaestro working directory\n", "xpm")
    assert "answered: x is not an experimaestro working directory; " in str(error)


SHELL = f"\n{MARK} shell\n".encode()
INIT = f"\n{MARK} init\n".encode()


def noise_of(stream: MarkedStream) -> dict[str, tuple[int, str]]:
    """Return size and text of all noise."""
    return {
        source.value: (noise.size, noise.text)
        for source, noise in stream.noise.items()
        if noise.size
    }


class TestNoise:
    """Output of other programs."""

    def test_belongs_to_its_source(self) -> None:
        """Output belongs to the running stage, byte for byte."""
        stream = MarkedStream()
        stream.feed(b"motd\n42\n" + SHELL + b"loaded " + INIT + b"later\n")
        assert noise_of(stream) == {
            "login files": (8, "motd\n42\n"),
            "shell_init": (7, "loaded "),
            "our commands": (6, "later\n"),
        }

    def test_none(self) -> None:
        """The newline with which a mark begins is not noise."""
        stream = MarkedStream()
        assert stream.feed(SHELL + INIT) == [Mark("shell", ""), Mark("init", "")]
        assert noise_of(stream) == {}

    def test_odd_bytes(self) -> None:
        """What is not UTF-8 is escaped, and counted unescaped."""
        stream = MarkedStream()
        stream.feed(b"caf\xe9" + SHELL)
        assert noise_of(stream) == {"login files": (4, "caf\\xe9")}

    def test_much(self) -> None:
        """Of much noise the head is kept, and all of it is counted."""
        stream = MarkedStream()
        for _ in range(3):
            stream.feed(b"x" * NOISE_KEPT + b"\n")
        size, text = noise_of(stream)["login files"]
        assert size == 3 * (NOISE_KEPT + 1)
        assert text == "x" * NOISE_KEPT

    def test_cut_by_a_mark(self) -> None:
        """The newline of a mark is not kept where it would be the last byte of the head."""
        stream = MarkedStream()
        stream.feed(b"x" * (NOISE_KEPT - 1) + SHELL)
        assert noise_of(stream)["login files"] == (NOISE_KEPT - 1, "x" * (NOISE_KEPT - 1))

    def test_endless_line(self) -> None:
        """A line without an end takes no more memory than a screenful and the part in examination."""
        stream = MarkedStream()
        for _ in range(100):
            assert stream.feed(b"y" * 10_000) == []
        assert noise_of(stream)["login files"][0] + LINE_KEPT >= 1_000_000
        assert len(stream.noise[NoiseSource.LOGIN].head) == NOISE_KEPT

    def test_unfinished_line(self) -> None:
        """At the end, an unfinished line counts."""
        stream = MarkedStream()
        stream.feed(b"logout")
        assert noise_of(stream) == {}
        stream.end()
        assert noise_of(stream) == {"login files": (6, "logout")}


class TestMarks:
    """Our marks."""

    def test_words(self) -> None:
        """A mark has a word, and a rest with its blanks."""
        data = f"\n{MARK} found python3 /opt/my python\n".encode()
        assert MarkedStream().feed(data) == [Mark("found", "python3 /opt/my python")]

    def test_first_of_all(self) -> None:
        """A mark counts also where its first newline was lost."""
        stream = MarkedStream()
        assert stream.feed(f"{MARK} shell\n".encode()) == [Mark("shell", "")]
        assert noise_of(stream) == {}

    @pytest.mark.parametrize("line", [f"{MARK}x shell", f" {MARK} shell", f"echo {MARK} shell"])
    def test_others_are_noise(self, line: str) -> None:
        """A line that only resembles a mark is noise."""
        stream = MarkedStream()
        assert stream.feed(f"{line}\n".encode()) == []
        assert noise_of(stream) == {"login files": (len(line) + 1, f"{line}\n")}

    @given(st.lists(st.integers(1, 40), max_size=8))
    def test_pieces(self, cuts: list[int]) -> None:
        """In any pieces of the bytes, the marks and the noise are the same."""
        data = b"hello\npart" + SHELL + b"\xff\n" + INIT + f"\n{MARK} tools\n".encode()
        stream, marks = MarkedStream(), []
        for cut in [*cuts, len(data)]:
            marks += stream.feed(data[:cut])
            data = data[cut:]
        assert marks == [Mark("shell", ""), Mark("init", ""), Mark("tools", "")]
        assert noise_of(stream) == {
            "login files": (10, "hello\npart"),
            "shell_init": (2, "\\xff\n"),
        }


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("", ""),
        ("a\n\nb\nc\nd\n", ": b | c | d"),
        (
            "pyenv: x: command not found\n\nThese have it:\n  3.11\n\nNote: see help\n",
            ": pyenv: x: command not found",
        ),
        ("Traceback:\n  File 1\n  line\nImportError: no\n", ": File 1 | line | ImportError: no"),
    ],
)
def test_last_words(stderr: str, said: str) -> None:
    """The last lines are quoted, or the one before them that tells the cause where they do not."""
    assert last_words(stderr, "") == said


TOKEN = "export TOKEN=s3cret"
COMMAND = f"printf x; eval '{TOKEN}\nnosuch x' </dev/null && echo ours"


@pytest.mark.parametrize(
    "said",
    [
        f"bash: eval: line 3: syntax error: unexpected end of file\nbash: eval: line 1: `{TOKEN}'",
        f"fish: Unknown command: nosuch, unexpected end of file\nfish: \n{TOKEN}\nnosuch x\n^~~~^",
        f"csh: unexpected end of file\n{COMMAND}",
    ],
)
def test_shells_that_show_the_command(said: str) -> None:
    """What a shell shows of our command, and of shell_init, is not shown: it may hold secrets."""
    startup = Startup(command=COMMAND)
    startup.feed(b"\n%s shell\n" % MARK.encode())
    error = startup.failure(2, said, "/ws")
    assert "s3cret" not in str(error)
    assert "ours" not in str(error)
    assert "unexpected end of file" in str(error)


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("rbash: line 1: /bin/sh: restricted: cannot specify `/' in command names", "(rbash)"),
        ("WARNING: Your password has expired.\nPassword change required", "must be changed first"),
        ("bash: line 1: printf: write error: Bad file descriptor", "closes stdout"),
        ("Your account is locked", "may run commands"),
    ],
)
def test_hint_of_the_shell(said: str, hint: str) -> None:
    """A restricted shell, a closed stdout and a password that has expired have hints of their own."""
    assert hint in Startup().failure(1, said, "/ws").hint
