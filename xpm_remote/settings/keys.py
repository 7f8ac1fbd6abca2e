"""The grammar of settings.yaml as a table: the source of the reader, the reference and the editors' schema.

Defaults are those of the values in ``schema``. Pure.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from xpm_remote.settings.schema import (
    CarbonSettings,
    HistorySettings,
    NoticeSettings,
    ServerSettings,
    Settings,
    SshSettings,
    Workspace,
)
from xpm_remote.workspace.layout import Folder


class Kind(Enum):
    """The kind of value that a key takes; the text is its description in the reference."""

    TEXT = "text"
    SCRIPT = "text, several lines perhaps"
    FLAG = "true or false"
    COUNT = "whole number, 0 or more"
    PORT = "whole number from 0 to 65535"
    SECONDS = "number above 0"
    PATH = "path"
    HOST = "host"
    LOCK_MODE = 'inherit, umask, or an octal mode in quotes, such as "0664"'
    FOLDER_MODE = "use, backup or move"
    ENGINE = "asyncssh, openssh or auto"
    BACKEND = "auto, experimaestro or agent"
    INTERVAL = "number above 0, or off"
    ENV = "mapping of names to values"
    TEXTS = "list of texts"
    OPTIONS = "list of texts, or one text"
    BINDINGS = "mapping of actions to keys"
    SECTION = "mapping"
    SECTIONS = "list of mappings"


class Key(Struct, frozen=True):
    """One key.

    Attributes:
        name: The name in the file.
        kind: The kind of its value.
        about: Its meaning, in Markdown; a sentence or two.
        example: A value as YAML; several lines stand below the key. Empty for a section.
        unit: The unit of a number.
        default: The default in the reference, where it is not that of the value.
        required: Whether its section needs it.
        section: The keys inside, for a mapping or a list of them.
    """

    name: str
    kind: Kind
    about: str
    example: str = ""
    unit: str = ""
    default: str = ""
    required: bool = False
    section: Section | None = None


class Section(Struct, frozen=True):
    """A mapping with a fixed set of keys.

    Attributes:
        title: The reference's heading.
        values: The class whose fields hold the defaults.
        keys: In the order of the reference.
    """

    title: str
    values: type[Struct | Folder]
    keys: tuple[Key, ...]

    def find(self, name: str) -> Key | None:
        """Return the key of that name; None where there is none."""
        return next((key for key in self.keys if key.name == name), None)


SERVER = Section(
    "server",
    ServerSettings,
    keys=(
        Key(
            "port",
            Kind.PORT,
            "Port of experimaestro's web server.",
            example="12345",
            unit="TCP port",
        ),
        Key(
            "host",
            Kind.TEXT,
            "Name or address under which the web server is reached.",
            example="192.168.1.1",
        ),
        Key(
            "autohost",
            Kind.TEXT,
            "Lets experimaestro find the host name: `fqdn` (the full one) or `name` (the short one).",
            example="fqdn",
        ),
        Key("token", Kind.TEXT, "Secret that opens the web server.", example="2134inmd8132323"),
    ),
)

HISTORY = Section(
    "history, workspaces[].history",
    HistorySettings,
    keys=(
        Key(
            "max_done",
            Kind.COUNT,
            "How many successful runs of an experiment are kept.",
            example="10",
            unit="runs",
        ),
        Key(
            "max_failed",
            Kind.COUNT,
            "How many failed runs of an experiment are kept.",
            example="2",
            unit="runs",
        ),
    ),
)

CARBON = Section(
    "carbon",
    CarbonSettings,
    keys=(
        Key("enabled", Kind.FLAG, "Whether the emissions of jobs are tracked.", example="false"),
        Key("provider", Kind.TEXT, "What measures them.", example="codecarbon"),
        Key(
            "country_iso_code",
            Kind.TEXT,
            "Country in place of the detected one, as an ISO 3166-1 alpha-3 code.",
            example="FRA",
        ),
        Key("region", Kind.TEXT, "Region in place of the detected one.", example="ile-de-france"),
        Key(
            "report_interval_s",
            Kind.SECONDS,
            "Time between two measurements of a running job.",
            example="30",
            unit="seconds",
        ),
        Key(
            "warn_if_unavailable",
            Kind.FLAG,
            "Whether experimaestro warns when the provider is not installed.",
            example="false",
        ),
    ),
)

NOTICES = Section(
    "notices",
    NoticeSettings,
    keys=(
        Key(
            "enabled",
            Kind.FLAG,
            "Whether the dashboard calls: by the bell and a notice of the terminal while that is not looked at,"
            " and by the command.",
            example="false",
        ),
        Key(
            "command",
            Kind.TEXTS,
            "Program with its arguments that is run for each notice, without a shell; the notice is JSON on its stdin.",
            example='[notify-send, "xpm-remote has news"]',
        ),
        Key(
            "link_lost_s",
            Kind.SECONDS,
            "Time after which a link that is lost is a notice.",
            example="60",
            unit="seconds",
        ),
    ),
)

FOLDER = Section(
    "workspaces[].folders[]",
    Folder,
    keys=(
        Key(
            "path",
            Kind.PATH,
            "Root of the folder: jobs lie at `<path>/jobs/<task_id>/<hash>`. Absolute or starting with `~`; a"
            " path that ends in `/jobs` means the directory above. It may neither lie in its own workspace nor"
            " contain it, and no other folder of the workspace may have the same one.",
            example="/slow/backup/nlp",
            required=True,
        ),
        Key(
            "mode",
            Kind.FOLDER_MODE,
            "`use`: jobs are looked up there, nothing is ever written. `backup`: a job that succeeded is copied"
            " there. `move`: a job that succeeded is moved there and a symlink stays in the workspace.",
            example="backup",
        ),
    ),
)

SSH = Section(
    "workspaces[].ssh",
    SshSettings,
    keys=(
        Key(
            "host",
            Kind.HOST,
            "Where to connect: `host`, `user@host`, `ssh://user@host:port`, or an alias of `~/.ssh/config`.",
            example="user@cluster",
            required=True,
        ),
        Key(
            "shell_init",
            Kind.SCRIPT,
            "Shell commands that run on the remote before experimaestro, in the same shell.",
            example='"source /etc/profile; module load python/3.10"',
        ),
        Key(
            "uv_offline",
            Kind.FLAG,
            "Passes `--offline` to `uv tool run`: only what is in uv's cache, no network.",
            example="true",
        ),
        Key(
            "python",
            Kind.TEXT,
            "Interpreter for `uv tool run --python`. Quote a version number."
            " Where it is no mere version, the agent runs on it, too.",
            example='"3.10"',
        ),
        Key(
            "xpm_path",
            Kind.TEXT,
            "Command that starts experimaestro on the remote, in place of `uv tool run`; it may hold arguments"
            " and start with `~`.",
            example="~/venvs/xpm/bin/experimaestro",
        ),
        Key(
            "options",
            Kind.OPTIONS,
            "Command-line options of OpenSSH's `ssh`, in any of its spellings, in one text or several.",
            example='["-p 2222", "-o ProxyJump=gate"]',
        ),
        Key(
            "engine",
            Kind.ENGINE,
            "What makes the connection: our SSH library (`asyncssh`), the program `ssh` of this machine"
            " (`openssh`), or that program only where a live ControlMaster leads to the host or where the library"
            " cannot do what options or `~/.ssh/config` ask for (`auto`).",
            example="auto",
        ),
        Key(
            "backend",
            Kind.BACKEND,
            "What serves the workspace there: our `agent`, which needs `python3` and changes nothing; `experimaestro`,"
            " which changes the workspace as it starts; or (`auto`) the agent, unless `xpm_path` or `uv_offline`"
            " describe an experimaestro and no job runs under SLURM. With `auto` each side takes the place of the other"
            " where that cannot serve.",
            example="agent",
        ),
        Key(
            "slurm_interval",
            Kind.INTERVAL,
            "The same as `workspaces[].slurm_interval`, over that one.",
            example="300",
            unit="seconds",
            default="the workspace's `slurm_interval`",
        ),
    ),
)

_SLURM_INTERVAL = (
    "Time between two questions to SLURM for all jobs of the workspace, while they are watched and have not ended;"
    " `off` asks only before `kill` and `clean`. Sites forbid to ask every few seconds."
)

WORKSPACE = Section(
    "workspaces[]",
    Workspace,
    keys=(
        Key(
            "id",
            Kind.TEXT,
            "Name of the workspace, for `--workspace`; no two have the same.",
            example="neuralir",
            required=True,
        ),
        Key(
            "path",
            Kind.PATH,
            "Directory of the workspace. For a local workspace `~` expands here; for a remote one the text"
            " reaches the remote as it is, and a relative path starts at the remote home.",
            example="~/experiments/xpmir",
            required=True,
        ),
        Key(
            "env",
            Kind.ENV,
            "Environment variables for this workspace, over those of the whole file. Values keep their"
            " spelling: `true` is the text `true`.",
            example="VARNAME: VALUE",
        ),
        Key(
            "folders",
            Kind.SECTIONS,
            "Further places for the jobs of the workspace, in the order in which they are searched.",
            section=FOLDER,
        ),
        Key(
            "alt_workspaces",
            Kind.TEXTS,
            "Deprecated: ids or paths of workspaces whose jobs are looked up. Each is a folder of mode `use`"
            " before the others; `workspaces migrate` rewrites them.",
            example="[other_project]",
        ),
        Key(
            "max_retries",
            Kind.COUNT,
            "How often a resumable task is tried when it times out.",
            example="5",
            unit="attempts",
        ),
        Key(
            "lock_mode",
            Kind.LOCK_MODE,
            "Permissions of lock files: those of the workspace directory (`inherit`), those that the process's"
            " umask leaves (`umask`), or an octal mode.",
            example='"0664"',
        ),
        Key(
            "triggers",
            Kind.TEXTS,
            "Globs that select the workspace by experiment id: `*`, `?`, `[abc]`, `[!abc]`; case matters, and"
            " the whole id has to match.",
            example='["neuralir-*", my-awesome-experiment]',
        ),
        Key(
            "slurm_interval",
            Kind.INTERVAL,
            _SLURM_INTERVAL,
            example="off",
            unit="seconds",
            default="the file's `slurm_interval`",
        ),
        Key(
            "history",
            Kind.SECTION,
            "How many runs are kept in this workspace.",
            section=HISTORY,
            default="the file's `history`, key by key",
        ),
        Key(
            "ssh",
            Kind.SECTION,
            "Makes the workspace remote: it is reached over SSH and takes no part in trigger matching or as the"
            " default workspace.",
            section=SSH,
        ),
    ),
)

SETTINGS = Section(
    "(the file)",
    Settings,
    keys=(
        Key("server", Kind.SECTION, "experimaestro's web server.", section=SERVER),
        Key(
            "env",
            Kind.ENV,
            "Environment variables for whatever is started here. Values keep their spelling: `true` is the"
            " text `true`.",
            example="JAVA_HOME: /path/to/java",
        ),
        Key(
            "history",
            Kind.SECTION,
            "How many runs are kept, for every workspace that does not say otherwise.",
            section=HISTORY,
        ),
        Key("carbon", Kind.SECTION, "Tracking of the emissions of jobs.", section=CARBON),
        Key(
            "slurm_interval",
            Kind.INTERVAL,
            "That of every workspace that does not say otherwise.",
            example="300",
            unit="seconds",
        ),
        Key(
            "keys",
            Kind.BINDINGS,
            "Keys of the dashboard in place of the usual ones, by the names of the actions in screen.md: one key, or"
            " a list. experimaestro ignores it.",
            example="mark: [z, F5]",
        ),
        Key(
            "notices",
            Kind.SECTION,
            "When and how the dashboard calls. experimaestro ignores it.",
            section=NOTICES,
        ),
        Key(
            "workspaces",
            Kind.SECTIONS,
            "The workspaces; the first one that is not remote is the default.",
            section=WORKSPACE,
        ),
    ),
)
