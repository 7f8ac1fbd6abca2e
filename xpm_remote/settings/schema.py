"""The settings as frozen values, and the problems of a file; ``keys`` has the meaning of each key. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path, PurePosixPath

from msgspec import Struct

from xpm_remote.errors import SettingsError
from xpm_remote.workspace.layout import Folder
from xpm_remote.workspace.rows import ASK_INTERVAL


class SourcePosition(Struct, frozen=True):
    """A position in the settings file; line and column count from 1, as in editors."""

    line: int
    column: int


class Problem(Struct, frozen=True, kw_only=True):
    """One thing in a settings file that is wrong (an error) or looks wrong (a warning).

    Attributes:
        file: The settings file.
        position: Where in the file; None for the file as a whole.
        key: The setting, as in ``workspaces[1].folders[0].mode``; empty for the whole document.
        what: What is wrong.
        allowed: What may stand there instead; empty where ``what`` is enough.
    """

    file: Path
    position: SourcePosition | None = None
    key: str = ""
    what: str
    allowed: str = ""

    def __str__(self) -> str:
        place = f":{self.position.line}:{self.position.column}" if self.position else ""
        subject = f"{self.key}: " if self.key else ""
        remedy = f"; allowed: {self.allowed}" if self.allowed else ""
        return f"{self.file}{place}: {subject}{self.what}{remedy}"


class InvalidSettingsError(SettingsError):
    """The settings file cannot be used; the message has a line for each problem, in file order.

    Args:
        problems: The errors, at least one.
        warnings: What only looks wrong.
    """

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[Problem] = ()) -> None:
        self.problems = in_file_order(problems)
        self.warnings = in_file_order(warnings)
        super().__init__("\n".join(map(str, self.problems)))


def in_file_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort problems by position; those of the whole file come first."""

    def place(problem: Problem) -> tuple[int, int]:
        at = problem.position
        return (at.line, at.column) if at else (0, 0)

    return tuple(sorted(problems, key=place))


class SshEngine(str, Enum):
    """The SSH implementation."""

    ASYNCSSH = "asyncssh"  # the library
    OPENSSH = "openssh"  # the program ssh of this machine
    AUTO = "auto"  # the program where it can do what the library cannot


class Backend(str, Enum):
    """The program that serves a workspace on its host."""

    AUTO = "auto"  # experimaestro, or the agent where that cannot
    EXPERIMAESTRO = "experimaestro"  # the one that is installed there, or that uv brings
    AGENT = "agent"  # ours, which is sent


class Off(str, Enum):
    """In the place of a time: never."""

    OFF = "off"


class ServerSettings(Struct, frozen=True, kw_only=True):
    """experimaestro's own web server."""

    port: int | None = None
    host: str | None = None
    autohost: str | None = None
    token: str | None = None


class HistorySettings(Struct, frozen=True, kw_only=True):
    """How many runs of an experiment are kept."""

    max_done: int = 5
    max_failed: int = 1


class CarbonSettings(Struct, frozen=True, kw_only=True):
    """Tracking of emissions; the interval is in seconds."""

    enabled: bool = True
    provider: str = "codecarbon"
    country_iso_code: str | None = None
    region: str | None = None
    report_interval_s: float = 60.0
    warn_if_unavailable: bool = True


class NoticeSettings(Struct, frozen=True, kw_only=True):
    """When and how the dashboard calls.

    Attributes:
        enabled: Whether it does.
        command: A program with its arguments that is run for each notice; empty for none.
        link_lost_s: Seconds after which a lost link is a notice.
    """

    enabled: bool = True
    command: tuple[str, ...] = ()
    link_lost_s: float = 300.0


class SshSettings(Struct, frozen=True, kw_only=True):
    """The connection to a remote workspace.

    Attributes:
        host: ``host``, ``user@host``, ``ssh://user@host:port`` or an alias of ``~/.ssh/config``; never blank.
        shell_init: Shell commands as written, perhaps several lines; never blank.
        uv_offline: Whether ``uv tool run`` gets ``--offline``.
        python: The interpreter for ``uv tool run --python``.
        xpm_path: The command that starts experimaestro; may hold arguments and start with ``~``.
        options: OpenSSH's command-line options as written: one string may hold several words
            (``-p 2222``), and one option may be spread over two strings (``-p``, ``2222``).
        engine: The SSH implementation.
        backend: The program that serves the workspace there.
        slurm_interval: Seconds between two questions to SLURM; that of the workspace.
    """

    host: str
    shell_init: str | None = None
    uv_offline: bool = False
    python: str | None = None
    xpm_path: str | None = None
    options: tuple[str, ...] = ()
    engine: SshEngine = SshEngine.ASYNCSSH
    backend: Backend = Backend.AUTO
    slurm_interval: float | Off = ASK_INTERVAL


class Workspace(Struct, frozen=True, kw_only=True):
    """A workspace, here or on a remote host.

    Attributes:
        id: The name in the settings; empty for a directory given on the command line.
        path: Here: a ``Path``, absolute, ``~`` expanded. Remote: a ``PurePosixPath`` whose text is the
            file's, ``~`` included. A ``PurePosixPath`` drops repeated and trailing slashes and ``.`` parts,
            which name the same directory; everything else is kept (spaces, quotes, ``$``, ``..``).
        env: The workspace's own variables; ``environment`` merges them with the others.
        folders: Further places of its jobs: ``alt_workspaces`` first (as ``use``), then ``folders``.
        alt_workspaces: The deprecated entries as written; they are in ``folders`` already.
        max_retries: How often a resumable task that timed out is tried.
        lock_mode: ``inherit``, ``umask`` or an octal mode such as ``0664``.
        triggers: Globs on the experiment id.
        slurm_interval: Seconds between two questions to SLURM: that of ``ssh``, else the workspace's, else the file's.
        history: The workspace's, completed by the settings' and by the defaults, key by key.
        ssh: Not None if and only if the workspace is remote.
    """

    id: str
    path: Path | PurePosixPath
    env: Mapping[str, str] = {}
    folders: tuple[Folder, ...] = ()
    alt_workspaces: tuple[str, ...] = ()
    max_retries: int = 3
    lock_mode: str = "inherit"
    triggers: tuple[str, ...] = ()
    slurm_interval: float | Off = ASK_INTERVAL
    history: HistorySettings = HistorySettings()
    ssh: SshSettings | None = None

    @property
    def is_remote(self) -> bool:
        """Whether the workspace is on another host."""
        return self.ssh is not None


class Settings(Struct, frozen=True, kw_only=True):
    """The content of a settings file.

    Attributes:
        server: experimaestro's own web server.
        env: Variables for whatever is started here, for all workspaces.
        history: How many runs are kept, for all workspaces.
        carbon: Tracking of emissions.
        slurm_interval: Seconds between two questions to SLURM, for all workspaces.
        keys: Keys of the dashboard in place of the usual ones, by action, as ``bindings`` names them.
        notices: When and how the dashboard calls.
        workspaces: In file order; ids are unique.
        path: The settings file, whether it exists or not.
        warnings: What looks wrong but can be used, in file order.
        positions: The position of each value, by key (``workspaces[0].ssh.host``); absent ones have their default.
        variables: Which environment variables each value refers to, set or not, by key; most refer to none.
    """

    path: Path
    server: ServerSettings = ServerSettings()
    env: Mapping[str, str] = {}
    history: HistorySettings = HistorySettings()
    carbon: CarbonSettings = CarbonSettings()
    slurm_interval: float | Off = ASK_INTERVAL
    keys: Mapping[str, tuple[str, ...]] = {}
    notices: NoticeSettings = NoticeSettings()
    workspaces: tuple[Workspace, ...] = ()
    warnings: tuple[Problem, ...] = ()
    positions: Mapping[str, SourcePosition] = {}
    variables: Mapping[str, tuple[str, ...]] = {}


def environment(
    settings: Settings, workspace: Workspace, process: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables of what is started here: the workspace's over the settings' over the process's own."""
    return {**process, **settings.env, **workspace.env}
