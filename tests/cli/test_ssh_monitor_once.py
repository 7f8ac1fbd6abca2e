"""``ssh-monitor --once``: the picture of a real workspace, for each user and option."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from tests.cli.commands import Commands, Finished
from tests.support.experiments import SCRIPTS
from tests.support.fakes import install_fake_monitor
from tests.support.server import Server
from tests.support.workspaces import FINISHED, RealWorkspace

JSON = ("--once", "--format", "json")


def states_on_disk(server: Server, workspace: RealWorkspace) -> dict[str, dict[str, str]]:
    """Read the states of all jobs from the files, without our code."""
    script = (SCRIPTS / "read_states.py").read_text()
    path = shlex.quote(workspace.path)
    found: dict[str, dict[str, str]] = json.loads(
        server.run(workspace.login, f"python3 - {path}", input=script)
    )
    return found


def states_shown(document: Any) -> dict[str, dict[str, str]]:
    """Return the states of all jobs in our document."""
    states = {job["id"]: job["state"] for job in document["jobs"]}
    return {
        each["id"]: {key: states[key] for key in each["jobs"]} for each in document["experiments"]
    }


@pytest.fixture
def shown(server: Server, real_workspace: RealWorkspace, commands: Commands) -> Any:
    """The document of the real workspace."""
    commands.add_login(server, "alice", real_workspace.path, xpm_path=server.experimaestro)
    finished = commands.monitor("--workspace", "alice", *JSON)
    assert finished.status == 0, finished.stderr
    return finished.document


@pytest.mark.usefixtures("by_engine")
def test_states_are_those_of_the_files(
    server: Server, real_workspace: RealWorkspace, shown: Any
) -> None:
    """Every job of every experiment is shown in the state that the workspace's files say."""
    assert states_shown(shown) == states_on_disk(server, real_workspace)


def test_document_is_complete(shown: Any) -> None:
    """The document holds counts, tags, reasons, progress, services, and times with the host's offset."""
    by_name = {each["id"]: each for each in shown["experiments"]}
    total = sum(int(FINISHED[kind]) for kind in FINISHED if kind != "service")
    counts = by_name["finished"]["counts"]
    assert counts["total"] == total
    assert counts["running"] == 0
    assert by_name["finished"]["services"][0]["service_id"] == "demo-service"
    assert by_name["running"]["counts"]["running"] == 3
    jobs = [job for job in shown["jobs"] if job["experiments"] == ["running"]]
    running = [job for job in jobs if job["state"] == "running"]
    assert all(0 <= job["progress"][0]["fraction"] <= 1 for job in running)
    assert {job["tags"]["x"] for job in running} == {100, 101, 102}
    failed = [job for job in shown["jobs"] if job["state"] == "error"]
    assert failed
    assert all(job["reason"] for job in failed)
    # Newfoundland is the only place with such an offset.
    assert all(job["started"].endswith(("-02:30", "-03:30")) for job in running)


def test_text_shows_experiments_and_failures(
    server: Server, real_workspace: RealWorkspace, commands: Commands
) -> None:
    """Without a format it is a picture, without escape sequences where there is no terminal."""
    commands.add_login(server, "alice", real_workspace.path, xpm_path=server.experimaestro)
    finished = commands.monitor("--workspace", "alice", "--once")
    assert finished.status == 0, finished.stderr
    assert "\x1b" not in finished.stdout
    for words in (
        "● live",
        "Experiments",
        "finished",
        "Running",
        "step",
        "Failed",
        "demo_tasks.bad/",
    ):
        assert words in finished.stdout


def test_host_and_directory_need_no_settings(
    server: Server, real_workspace: RealWorkspace, commands: Commands
) -> None:
    """HOST and REMOTE_WORKDIR with flags do what the settings do."""
    options = [word for option in server.ssh_args("alice") for word in ("-o", option)]
    finished = commands.monitor(
        server.host, real_workspace.path, *options, "--remote-xpm", server.experimaestro, *JSON
    )
    assert finished.status == 0, finished.stderr
    assert len(finished.document["experiments"]) == 2


class TestUsers:
    """Each of the server's accounts works, or fails as expected."""

    def assert_works(self, finished: Finished) -> None:
        """Check that the picture was printed."""
        assert finished.status == 0, finished.stderr
        assert finished.document["link"]["phase"] == "live"

    def make_workspace(self, server: Server, login: str) -> str:
        """Make an empty workspace in the user's home; return its path as the user would write it."""
        server.write(login, "my work/.__experimaestro__", "")
        return "~/my work"

    @pytest.mark.parametrize("login", ["alice", "noisy"])
    def test_uv_runs_offline(self, server: Server, commands: Commands, login: str) -> None:
        """Without xpm_path, uv runs the experimaestro that it has cached, whatever the login files print."""
        commands.add_login(server, login, self.make_workspace(server, login), uv_offline=True)
        self.assert_works(commands.monitor("--workspace", login, *JSON))

    def test_uv_takes_a_python_and_a_version(self, server: Server, commands: Commands) -> None:
        """--remote-python and --force-version reach uv."""
        commands.add_login(server, "alice", self.make_workspace(server, "alice"))
        flags = ("--uv-offline", "--remote-python", "python3", "--force-version")
        self.assert_works(commands.monitor("--workspace", "alice", *flags, *JSON))

    def test_noise_does_no_harm(self, server: Server, commands: Commands) -> None:
        """Banners, numbers, JSON, bytes that are not UTF-8 and unfinished lines before ours do not matter."""
        fake = install_fake_monitor(server, {"generate": {"jobs": 2}}, "noisy")
        commands.add_login(server, "noisy", fake.workspace, xpm_path=fake.xpm_path)
        self.assert_works(commands.monitor("--workspace", "noisy", *JSON))

    def test_shell_init_loads_modules(self, server: Server, commands: Commands) -> None:
        """What shell_init puts in the PATH is there for xpm_path."""
        path = self.make_workspace(server, "modules")
        init = f"# the cluster's own\n{server.shell_init};\n\n"
        commands.add_login(server, "modules", path, xpm_path="experimaestro", shell_init=init)
        self.assert_works(commands.monitor("--workspace", "modules", *JSON))

    def test_bare_is_told_what_is_missing(self, server: Server, commands: Commands) -> None:
        """Without uv and experimaestro, the error reports this and what to set."""
        commands.add_login(server, "bare", self.make_workspace(server, "bare"))
        finished = commands.monitor("--workspace", "bare", *JSON)
        assert finished.status == 21
        assert "cannot run uv" in finished.error
        assert "ssh.xpm_path" in finished.error


def test_stuck_running_is_seen_through(server: Server, commands: Commands) -> None:
    """A finished job that the server reports as running is shown as finished, as the scheduler has it."""
    fake = install_fake_monitor(
        server, {"generate": {"experiments": 1, "jobs": 10, "states": ["done"], "stuck": 2}}
    )
    commands.add_login(server, "alice", fake.workspace, xpm_path=fake.xpm_path)
    document = commands.monitor("--workspace", "alice", *JSON).document
    assert {job["state"] for job in document["jobs"]} == {"done"}
    assert {job["execution"] for job in document["jobs"]} == {"done", "running"}
    queries = [request for request in fake.requests() if request["method"] != "get_sync_info"]
    assert all(request["params"]["refresh"] for request in queries)


def test_protocol_1_works(server: Server, commands: Commands) -> None:
    """A server of the first protocol is read with the data that it has."""
    fake = install_fake_monitor(
        server, {"protocol_version": "1.0", "generate": {"jobs": 4, "states": ["done", "running"]}}
    )
    commands.add_login(server, "alice", fake.workspace, xpm_path=fake.xpm_path)
    document = commands.monitor("--workspace", "alice", *JSON).document
    assert document["experiments"][0]["counts"]["done"] == 2
    assert document["experiments"][0]["counts"]["running"] == 2
