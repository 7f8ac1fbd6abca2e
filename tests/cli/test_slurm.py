"""Jobs of a real SLURM, of one node, at each moment of their lives: against an independent reader."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cli.commands import Commands
from tests.support.container import ContainerServer
from tests.support.errors import ServerUnavailableError
from tests.support.experiments import SCRIPTS
from tests.support.launch import start_slurm
from tests.support.polling import wait_until
from xpm_remote.workspace.reading.jobs import CLAIM

pytestmark = pytest.mark.slow

SLURM_LIMIT = 120.0
"""Seconds for SLURM to do something: it ends a job up to half a minute after its time, which is a minute."""

SHORT = ("done", "failed", "greedy")
LONG = ("late", "long", "wide", "next", "held", "after", "lost")
Truth = dict[str, dict[str, Any]]


class Cluster:
    """A workspace of alice's on a host with SLURM.

    Args:
        server: The host.
        name: The name of the workspace.

    Attributes:
        workspace: Its path.
        jobs: The directories of its jobs by their kinds.
    """

    def __init__(self, server: ContainerServer, name: str) -> None:
        self.server = server
        self.workspace = f"{server.home('alice')}/{name}"
        self.jobs: dict[str, str] = {}
        for script in (SCRIPTS / "realws").glob("*.py"):
            server.write("alice", f"realws/{script.name}", script.read_text())

    def start(self, experiment: str, kinds: tuple[str, ...]) -> None:
        """Start an experiment; return when its jobs are submitted."""
        listing = f"{self.server.home('alice')}/{experiment}.json"
        words = [self.server.remote_python, "realws/slurm_experiment.py", self.workspace]
        command = shlex.join([*words, experiment, listing, *kinds])
        output = self.server.folder / f"{experiment}.log"
        self.server.spawn("alice", f"echo $$ > {experiment}.pid; exec {command}", output)
        found = wait_until(
            lambda: self.server.run("alice", f"cat {listing}", check=False),
            SLURM_LIMIT,
            f"the jobs of {experiment}:\n{output.read_text()}",
        )
        self.jobs.update(json.loads(found))
        self.until(dict.fromkeys(kinds, ""))

    def truth(self) -> Truth:
        """Return what is true of each kind; empty while SLURM does not have all."""
        reader = (SCRIPTS / "slurm_truth.py").read_text()
        words = shlex.join(["python3", "-", *self.jobs.values()])
        found = self.server.run("alice", words, check=False, input=reader)
        by_directory = json.loads(found or "{}")
        return {kind: by_directory[path] for kind, path in self.jobs.items() if by_directory}

    def until(self, wanted: dict[str, str]) -> None:
        """Wait until SLURM has jobs in these states, or reasons."""

        def is_so() -> bool:
            found = self.truth()
            return bool(found) and all(
                not word or word in (found[kind]["slurm"], found[kind]["reason"])
                for kind, word in wanted.items()
            )

        wait_until(is_so, SLURM_LIMIT, f"{wanted}, and not {self.truth()}")

    def slurm(self, command: str, kind: str, *words: str) -> None:
        """Run a command of SLURM as alice, on the job of a kind."""
        number = self.truth()[kind]["id"]
        self.server.run("alice", " ".join([command.format(number), *words]))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerServer]:
    """The host."""
    if os.environ.get("XPM_TEST_SSH"):
        pytest.skip("XPM_TEST_SSH=local has no SLURM")
    try:
        started = start_slurm(tmp_path_factory.mktemp("slurm"), os.environ)
    except ServerUnavailableError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    yield started
    started.close()


@pytest.fixture(autouse=True)
def _quiet(server: ContainerServer) -> Iterator[None]:
    """Leave no job, and a node that works, to the next test."""
    yield
    resume = "scontrol update nodename=node state=resume"
    server.run_as_root(f"scancel --user alice; scancel --user modules; {resume} || true")


def shown(commands: Commands, cluster: Cluster, name: str = "alice") -> dict[str, Truth]:
    """Return what each view of a workspace shows of each kind, in the form of the truth."""
    listed = commands.run("jobs", "--workspace", name, "list", "--format", "json")
    once = commands.monitor("--workspace", name, "--once", "--format", "json")
    views = {"list": map(json.loads, listed.stdout.splitlines()), "picture": once.document["jobs"]}
    found: dict[str, Truth] = {}
    for name, jobs in views.items():
        by_path = {job["path"]: job for job in jobs}
        found[name] = {kind: _short(by_path[path]) for kind, path in cluster.jobs.items()}
    return found


def _short(job: dict[str, Any]) -> dict[str, Any]:
    row = job["slurm"] or {}
    waits = (row.get("reason") or "").replace(" ", "_")  # as scontrol has it
    is_running = job["state"] == "running"
    return {
        "state": job["state"],
        "certain": job["certain"],
        "reason": waits if job["state"] == "scheduled" else job["reason"],
        "nodes": row.get("nodes") if is_running else None,
    }


def settled(
    commands: Commands, cluster: Cluster, name: str = "alice"
) -> tuple[Truth, dict[str, Truth]]:
    """Return what is true, and what each view shows, once the truth was the same before and after."""
    while True:
        before = cluster.truth()
        found = shown(commands, cluster, name)
        if cluster.truth() == before:
            return before, found


def check(commands: Commands, cluster: Cluster, moment: str) -> None:
    """Compare both views with the truth, which has to be the same before and after."""
    before, found = settled(commands, cluster)
    for view, jobs in found.items():
        for kind, job in jobs.items():
            true = before[kind]
            expected = {key: true[key] for key in ("state", "reason", "nodes")}
            assert job == {**expected, "certain": True}, (moment, view, kind, true)


def look_at(cluster: Cluster) -> str:
    """Return the files of the jobs that tell their states, and the queue."""
    server, jobs = cluster.server, f"{cluster.workspace}/jobs"
    names = "-name '*.pid' -o -name '*.failed' -o -name '*.done' -o -name '*.sh'"
    files = server.run("alice", f"cd {jobs}; find . -type f \\( {names} \\) | sort | xargs tail -v")
    return files + server.run_as_root("squeue --noheader --states=all -o '%i|%T|%Z' | sort")


def names_of(cluster: Cluster, *kinds: str) -> list[str]:
    """Return the names of jobs."""
    return ["/".join(cluster.jobs[kind].split("/")[-2:]) for kind in kinds]


def test_backends(server: ContainerServer, commands: Commands) -> None:
    """Nothing starts experimaestro where jobs run under SLURM, unless asked; after its false claims all views agree."""
    cluster = Cluster(server, "two")
    login = {"host": server.host, "options": server.ssh_args("alice")}
    login["xpm_path"] = server.experimaestro
    for name in ("auto", "agent", "experimaestro"):
        commands.add(name, cluster.workspace, backend=name, **login)
    cluster.start("two", ("long", "wide", "lost"))
    cluster.until({"long": "RUNNING", "wide": "Resources"})
    server.run("alice", "kill -KILL $(cat two.pid)")
    before = look_at(cluster)
    examined = commands.run("doctor", "--workspace", "auto", "--format", "json").document
    (stage,) = [each for each in examined["stages"] if each["stage"] == "server"]
    assert (stage["verdict"], "SLURM" in stage["why"]) == ("skipped", True)
    once = commands.monitor("--workspace", "auto", "--once", "--format", "json").document
    assert (once["backend"]["name"], "SLURM" in once["backend"]["why"]) == ("agent", True)
    assert look_at(cluster) == before
    let_peer_claim(commands, cluster)
    for name in ("auto", "agent", "experimaestro"):
        true, found = settled(commands, cluster, name)
        for view, jobs in found.items():
            for kind, job in jobs.items():
                told = (job["state"], job["reason"], job["certain"])
                assert told == (true[kind]["state"], true[kind]["reason"], True), (name, view, kind)
    ask_accounting(commands, cluster)
    refuse_foreign_jobs(commands, cluster)
    refuse_without_answer(commands, cluster)
    end_waiting_job(commands, cluster)


def let_peer_claim(commands: Commands, cluster: Cluster) -> None:
    """Start the server of experimaestro, which marks jobs that wait as failed; wait until it has."""
    server = cluster.server
    server.run_as_root("sed -i 's/-t all/-t running/' /opt/slurm/sacct")  # as the real one with -X
    asked = commands.monitor("--workspace", "experimaestro", "--once", "--format", "json")
    assert "marks as failed" in asked.stderr
    claims = [f"{cluster.jobs[kind]}/long.failed" for kind in ("wide", "lost")]
    words = shlex.join(["cat", *claims])
    found = wait_until(lambda: server.run("alice", words, check=False), SLURM_LIMIT, "claims")
    server.run_as_root("sed -i 's/-t running/-t all/' /opt/slurm/sacct")
    assert CLAIM in found


def ask_accounting(commands: Commands, cluster: Cluster) -> None:
    """Check that the detail of a job says that this SLURM has no accounting, and what the queue has of it."""
    (long,) = names_of(cluster, "long")
    known = commands.run(
        "jobs", "--workspace", "agent", "detail", long, "--format", "json"
    ).document
    assert "accounting storage is disabled" in known["accounting"]["why_not"]
    assert (known["slurm"]["state"], known["slurm"]["nodes"]) == ("RUNNING", "node")


def refuse_foreign_jobs(commands: Commands, cluster: Cluster) -> None:
    """Check that kill and clean touch no job of SLURM that runs elsewhere, the user's own or another's."""
    server, place = cluster.server, ("jobs", "--workspace", "agent")
    (lost,) = names_of(cluster, "lost")
    pid = f"{cluster.jobs['lost']}/long.pid"
    submit_one = "sbatch --parsable -p lost -D /tmp --wrap 'sleep 600'"
    for user in ("alice", "modules"):
        number = server.run(user, submit_one).split()[-1]
        server.write("alice", pid, json.dumps({"type": "slurm", "pid": number, "options": []}))
        before = look_at(cluster)
        done = commands.run(*place, "kill", lost, "--perform")
        assert (done.status != 0, "runs in /tmp" in done.stdout) == (True, True), done
        done = commands.run(*place, "clean", lost, "--perform", "--force")
        assert (done.status != 0, "SLURM has it" in done.stdout) == (True, True), done
        assert look_at(cluster) == before, user
    server.run("alice", f"rm {pid}")


def refuse_without_answer(commands: Commands, cluster: Cluster) -> None:
    """Check that kill and clean do nothing while SLURM does not answer, and that a list says so."""
    server, place = cluster.server, ("jobs", "--workspace", "agent")
    lost, long = names_of(cluster, "lost", "long")
    before = look_at(cluster)
    server.run_as_root("pkill -STOP -x slurmctld")
    try:
        run = commands.run_process
        with ThreadPoolExecutor() as pool:
            words = [("kill", long, "--perform"), ("clean", lost, "--perform"), ("list",)]
            asked = [pool.submit(run, *place, *each, limit=SLURM_LIMIT) for each in words]
            killed, cleaned, listed = [each.result() for each in asked]
    finally:
        server.run_as_root("pkill -CONT -x slurmctld")
    for done in (killed, cleaned):
        assert (done.status != 0, "SLURM does not say" in done.stdout) == (True, True), done
    assert (listed.status, "SLURM does not answer" in listed.stderr) == (0, True)
    states = sorted(line.split()[0] for line in listed.stdout.splitlines())
    assert states == ["running", "scheduled?", "scheduled?"], "a lock that is held is seen"
    assert look_at(cluster) == before


def end_waiting_job(commands: Commands, cluster: Cluster) -> None:
    """Kill a job that waits, and then remove it."""
    place, (lost,) = ("jobs", "--workspace", "agent"), names_of(cluster, "lost")
    done = commands.run(*place, "kill", lost, "--perform")
    assert (done.status, "cancelled" in done.stdout) == (0, True), done
    done = commands.run(*place, "clean", lost, "--perform")
    assert done.status == 0, done
    assert f"{lost}/" not in look_at(cluster), "of its files"


def submit(cluster: Cluster) -> None:
    """Submit jobs that run, and that wait for each thing that there is."""
    cluster.start("long", LONG)
    cluster.slurm("scontrol hold {}", "held")
    long = cluster.truth()["long"]["id"]
    cluster.slurm("scontrol update jobid={}", "after", f"dependency=afterok:{long}")
    cluster.until({"late": "RUNNING", "long": "RUNNING", "wide": "Resources", "next": "Priority"})
    cluster.until({"held": "JobHeldUser", "after": "Dependency", "lost": "PENDING"})


def test_life(server: ContainerServer, commands: Commands) -> None:
    """At each moment the state, the reason and the node of each job are those of SLURM and of the files."""
    cluster = Cluster(server, "slurm")
    commands.add_login(server, "alice", cluster.workspace, backend="agent")
    cluster.start("short", SHORT)
    cluster.until({"done": "COMPLETED", "failed": "FAILED", "greedy": "FAILED"})
    check(commands, cluster, "ended by themselves")
    submit(cluster)
    check(commands, cluster, "waiting and running")
    refuse_to_clean(commands, cluster)
    server.run("alice", "kill -KILL $(cat long.pid)")
    check(commands, cluster, "the experiment is killed")
    cluster.slurm("scancel {}", "next")
    cluster.until({"next": "CANCELLED"})
    check(commands, cluster, "cancelled while it waits")
    claim(cluster, "held", "lost")
    check(commands, cluster, "a monitor claims that jobs have died")
    refuse_to_clean(commands, cluster)

    end_jobs(commands, cluster)


def end_jobs(commands: Commands, cluster: Cluster) -> None:
    """Let SLURM end jobs in each way that there is."""
    cluster.until({"late": "TIMEOUT"})
    check(commands, cluster, "out of time")
    cluster.slurm("scontrol requeue {}", "long")
    cluster.until({"long": "PENDING", "wide": "RUNNING"})
    check(commands, cluster, "requeued")
    cluster.slurm("scancel {}", "wide")
    cluster.until({"wide": "CANCELLED"})
    release(cluster)
    check(commands, cluster, "cancelled while it runs")
    cluster.start("urgent", ("urgent",))
    cluster.until({"held": "PREEMPTED", "urgent": "RUNNING"})
    check(commands, cluster, "preempted by another one")
    fail_node(cluster)
    check(commands, cluster, "its node fails")


def refuse_to_clean(commands: Commands, cluster: Cluster) -> None:
    """Check that no job that SLURM has is removed, nor cancelled as a whole, by a clean."""
    living = [cluster.jobs[kind] for kind in ("long", "held", "lost")]
    names = names_of(cluster, "long", "held", "lost")
    done = commands.run("jobs", "--workspace", "alice", "clean", *names, "--perform", "--force")
    assert done.status != 0
    assert done.stdout.count("keep") == len(living), done
    assert done.stdout.count("SLURM has it") >= 2, "a lock that is held is seen first"
    cluster.server.run("alice", shlex.join(["ls", "-d", *living]))


def claim(cluster: Cluster, *kinds: str) -> None:
    """Mark jobs as failed, as the server of experimaestro does where sacct does not list them."""
    content = json.dumps({"code": 1, "reason": "failed", "message": CLAIM})
    for kind in kinds:
        stem = f"{cluster.jobs[kind]}/long"
        cluster.server.write("alice", f"{stem}.failed", content)
        cluster.server.run("alice", f"rm {stem}.pid")


def release(cluster: Cluster) -> None:
    """Let the job run that is held, and that its node's end will not queue again."""
    cluster.slurm("scontrol update jobid={} requeue=0", "held")
    cluster.slurm("scontrol release {}", "held")
    cluster.until({"held": "RUNNING"})


def fail_node(cluster: Cluster) -> None:
    """Let the node fail under a job that SLURM will not queue again."""
    cluster.slurm("scontrol update jobid={}", "urgent", "requeue=0")
    cluster.server.run_as_root("scontrol update nodename=node state=down reason=broken")
    cluster.until({"urgent": "NODE_FAIL"})
