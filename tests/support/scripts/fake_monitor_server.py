#!/usr/bin/env python3
"""Stand in for ``experimaestro … monitor-server``, with the faults that a scenario asks for.

Usage: ``fake_monitor_server.py [--scenario FILE] …``, or the file's name in ``XPM_FAKE_SCENARIO``. Other
arguments are accepted and ignored, but for the path after ``--workdir``. Standard library only.

The scenario is a JSON object; every key may be missing:

==================  =================================================================================
protocol_version    ``"2.0"``; with ``"1.0"`` objects and methods are those of that protocol
workspace_path      otherwise what ``--workdir`` says
experiments, jobs   lists of objects as the real server sends them
generate            ``{"experiments": 2, "jobs": 200, "states": ["done", …], "stuck": 5}``: made-up ones,
                    jobs dealt round robin to experiments, states taken in turn; ``stuck``: see burst
missing             methods answered with -32601
errors              ``{METHOD: {"code": -32603, "message": "…"}}``
results             ``{METHOD: RESULT}``: answered as they stand
delay               ``{METHOD: SECONDS}`` before the answer
pad                 ``{METHOD: BYTES}``: that much text inside the answer's first object: a huge line
noise               ``{"start": TEXT, "answers": TEXT, "notifications": TEXT}``, written before them as
                    latin-1, with the newlines that it has and no others
stderr              text for stderr at the start
stall               methods (``"*"``: any) at which all answering ends for ever, though reading does not
exit                ``{"requests": N, "answer": "none"|"half"|"whole", "status": 3, "stderr": TEXT}``: ends after
                    the Nth request (0: at the start); a negative status is a signal
deaf                true: goes on after the end of stdin, SIGTERM and SIGHUP, for a minute
notifications       ``[{"after": METHOD, "method": …, "params": …}]``: sent after METHOD's first answer
burst               ``{"after": METHOD, "count": 1, "delay": 0, "seconds": 0.8, "final": ["done", "error"],
                    "stuck": K, "drop": K, "notify": true}``: after METHOD was answered ``count`` times, every
                    job goes through scheduled, running and a final state (in turn) within ``seconds``;
                    ``drop``: every Kth notification is not sent; ``stuck``: every Kth job is
                    afterwards announced, and reported, as running, though the scheduler's state is final
request_log         a file to which each request is appended as it came
==================  =================================================================================
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

Json = dict[str, Any]

PARSE_ERROR, NO_METHOD, BAD_PARAMS = -32700, -32601, -32602
PHASES = ("scheduled", "running")
DEAF_SECONDS = 60.0
"""How long a deaf server lives on: longer than any client's patience, but no leak."""
STARTED = "2026-01-02T03:04:05.000006"
SUBMITTED = 1767321000.25
EXPERIMENT = """{"version": 1, "run_id": "20260102_030405", "status": "running", "hostname": "fake",
    "ended_at": null, "job_states": {}, "services": {}, "actions": {}, "run_tags": [], "job_infos": {},
    "runs_count": 1}"""
JOB = """{"exit_code": null, "retry_count": 0, "resumable": false, "progress": [], "process": null,
    "run_group_id": "20260102-030405.0", "events_count": 0}"""
TASKS = ("demo_tasks.ok", "demo_tasks.long", "demo_tasks.dep")
REQUIRED = {
    **dict.fromkeys(("get_experiment", "get_experiment_runs"), ("experiment_id",)),
    **dict.fromkeys(("get_tags_map", "get_dependencies_map"), ("experiment_id",)),
    "delete_experiment": ("experiment_id",),
    **dict.fromkeys(("get_job", "get_process_info"), ("task_id", "job_id")),
    **dict.fromkeys(("kill_job", "clean_job", "delete_job_safely"), ("task_id", "job_id")),
    "execute_warning_action": ("warning_key", "action_key"),
}
ONLY_SINCE_2 = ("get_orphan_jobs", "get_stray_jobs")
MUTATIONS = ("kill_job", "clean_job", "delete_job_safely", "delete_experiment")


def local_now() -> str:
    """Return the time in the real server's form: local, without an offset."""
    return datetime.now(timezone.utc).astimezone().replace(tzinfo=None).isoformat()


def every(nth: int, number: int) -> bool:
    """Return whether ``number``, counted from 0, is the last of a group of ``nth``; 0 is no group."""
    return nth > 0 and number % nth == nth - 1


class World:
    """The experiments and jobs of the server."""

    def __init__(self, scenario: Json, workspace: str) -> None:
        self.workspace = workspace
        self.old = scenario.get("protocol_version", "2.0").startswith("1.")
        self.experiments: dict[str, Json] = {}
        self.jobs: dict[str, Json] = {}
        if "generate" in scenario:
            self._generate(**scenario["generate"])
        for experiment in scenario.get("experiments", ()):
            self.experiments[experiment["experiment_id"]] = experiment
        for job in scenario.get("jobs", ()):
            self.jobs[job["job_id"]] = job

    def _generate(
        self,
        experiments: int = 1,
        jobs: int = 1,
        states: tuple[str, ...] = ("done",),
        stuck: int = 0,
    ) -> None:
        for number in range(experiments):
            experiment = new_experiment(number)
            self.experiments[experiment["experiment_id"]] = experiment
        owners = list(self.experiments.values())
        for number in range(jobs):
            job = new_job(number, self.workspace, states[number % len(states)])
            self.jobs[job["job_id"]] = job
            owner = owners[number % len(owners)]
            owner["job_states"][job["job_id"]] = job["scheduler_state"]
            owner["job_infos"][job["job_id"]] = {
                **{key: job[key] for key in ("job_id", "task_id")},
                "tags": {"x": number, "kind": "ab"[number % 2]},
                "timestamp": SUBMITTED + number,
            }
            if every(stuck, number):
                self.stick(job)

    def move(self, job: Json, state: str) -> Json:
        """Put a job into a state, execution and scheduler alike; return the event's data."""
        job.update(state=state, scheduler_state=state)
        if state == "running":
            job["started_time"] = local_now()
        if state in ("done", "error"):
            job["ended_time"] = local_now()
        job["failure_reason"] = job["scheduler_failure_reason"] = (
            "FAILED" if state == "error" else None
        )
        for experiment in self.experiments.values():
            if job["job_id"] in experiment.get("job_states", {}):
                experiment["job_states"][job["job_id"]] = state
        return self.event(job)

    def stick(self, job: Json) -> Json:
        """Let the execution state of a finished job fall back to running; return the event's data."""
        job.update(state="running", ended_time=None)
        return self.event({**job, "started_time": None})

    def event(self, job: Json) -> Json:
        """Return the data of a state event of a job as it is now; nulls are left out."""
        keys = ("job_id", "task_id", "state", "failure_reason", "started_time", "ended_time")
        known = {key: job[key] for key in keys if job[key] is not None}
        return {"timestamp": time.time(), **known, "retry_count": 0, "progress": []}

    def experiment(self, experiment: Json) -> Json:
        """Return an experiment in the form of this server's protocol."""
        answer = copy.deepcopy(experiment)
        if self.old:
            states = list(answer.pop("job_states", {}).values())
            answer.update(finished_jobs=states.count("done"), failed_jobs=states.count("error"))
            answer.pop("runs_count", None)
        return answer

    def job(self, job: Json) -> Json:
        """Return a job in the form of this server's protocol."""
        answer = dict(job)
        if self.old:
            answer.pop("scheduler_state", None)
            answer.pop("scheduler_failure_reason", None)
            answer["submitted_time"] = STARTED
        return answer

    def jobs_of(self, experiment_id: str | None) -> list[Json]:
        """Return the jobs of an experiment, or of all of them."""
        if experiment_id is None:
            return [self.job(job) for job in self.jobs.values()]
        infos = self.experiments.get(experiment_id, {}).get("job_infos", {})
        return [self.job(self.jobs[job_id]) for job_id in infos if job_id in self.jobs]


def new_experiment(number: int) -> Json:
    """Return a made-up experiment without jobs."""
    times = dict.fromkeys(("started_at", "last_updated"), STARTED)
    return {"experiment_id": f"experiment-{number}", **json.loads(EXPERIMENT), **times}


def new_job(number: int, workspace: str, state: str) -> Json:
    """Return a made-up job."""
    job_id, task_id = hashlib.sha256(b"%d" % number).hexdigest(), TASKS[number % len(TASKS)]
    reason = "FAILED" if state == "error" else None
    return {
        **json.loads(JOB),
        "job_id": job_id,
        "task_id": task_id,
        "path": f"{workspace}/jobs/{task_id}/{job_id}",
        **dict.fromkeys(("state", "scheduler_state"), state),
        **dict.fromkeys(("failure_reason", "scheduler_failure_reason"), reason),
        "started_time": STARTED if state in ("running", "done", "error") else None,
        "ended_time": STARTED if state in ("done", "error") else None,
    }


class Methods:
    """What each method answers without a fault; the parameters are the request's."""

    def __init__(self, world: World, protocol_version: str) -> None:
        self._world = world
        info = {"protocol_version": protocol_version, "workspace_path": world.workspace}
        self.table: dict[str, Callable[[Json], Any]] = {
            "get_sync_info": lambda _: {**info, "last_sync_time": None},
            "get_experiments": lambda _: list(map(world.experiment, world.experiments.values())),
            "get_experiment": self._experiment,
            "get_experiment_runs": lambda p: [e for e in [self._experiment(p)] if e],
            "get_jobs": lambda p: world.jobs_of(p.get("experiment_id")),
            "get_job": self._job,
            "get_all_jobs": lambda _: world.jobs_of(None),
            "get_services": self._services,
            "get_tags_map": self._tags,
            "get_dependencies_map": lambda _: {},
            "get_process_info": lambda _: None,
            "get_unresolved_warnings": lambda _: {"warnings": []},
            "execute_warning_action": lambda _: None,
            **dict.fromkeys(ONLY_SINCE_2, lambda _: []),
            **dict.fromkeys(MUTATIONS, lambda _: {"success": True, "message": "done"}),
        }

    def _experiment(self, params: Json) -> Json | None:
        found = self._world.experiments.get(params["experiment_id"])
        return self._world.experiment(found) if found else None

    def _job(self, params: Json) -> Json | None:
        return next((j for j in self._world.jobs_of(None) if j["job_id"] == params["job_id"]), None)

    def _services(self, params: Json) -> list[Json]:
        wanted = params.get("experiment_id")
        chosen = [e for i, e in self._world.experiments.items() if wanted in (None, i)]
        return [service for e in chosen for service in e.get("services", {}).values()]

    def _tags(self, params: Json) -> Json:
        infos = self._world.experiments.get(params["experiment_id"], {}).get("job_infos", {})
        return {job_id: info["tags"] for job_id, info in infos.items()}


class FakeServer:
    """Reads requests, answers them from the world, and makes the faults of the scenario."""

    def __init__(self, scenario: Json, workspace: str) -> None:
        self.scenario = scenario
        self.world = World(scenario, scenario.get("workspace_path", workspace))
        missing = {*scenario.get("missing", ()), *(ONLY_SINCE_2 if self.world.old else ())}
        table = Methods(self.world, scenario.get("protocol_version", "2.0")).table
        self.methods = {name: method for name, method in table.items() if name not in missing}
        self.answered: Counter[str] = Counter()
        self.state_events = 0
        self.burst = threading.Thread(target=self._burst, args=(scenario.get("burst", {}),))
        # One lock for both: what is written is what the world is at that moment.
        self.lock = threading.Lock()
        self.ended = threading.Event()

    def serve(self) -> None:
        """Answer stdin's requests until its end."""
        sys.stderr.write(self.scenario.get("stderr", ""))
        sys.stderr.flush()
        self.write(self._noise("start"))
        self._exit_after(0)
        stalled = False
        for number, request in enumerate(self._requests(), start=1):
            stalled = stalled or self._stalls(request)
            if not stalled:
                self._handle(number, request)
        if self.scenario.get("deaf"):
            self.ended.wait(DEAF_SECONDS)
        with self.lock:
            self.ended.set()
            self.send("notification.shutdown", {"reason": "server_shutdown"})

    def write(self, data: bytes) -> None:
        """Write bytes to stdout at once."""
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def send(self, method: str, params: Json) -> None:
        """Send a notification."""
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        self.write(self._noise("notifications") + json.dumps(message).encode() + b"\n")

    def _requests(self) -> Iterator[Any]:
        log = self.scenario.get("request_log")
        for line in sys.stdin.buffer:
            if log:
                with Path(log).open("ab") as stream:
                    stream.write(line.rstrip(b"\n") + b"\n")
            try:
                yield json.loads(line)
            except ValueError:
                yield None

    def _stalls(self, request: Any) -> bool:
        stall = self.scenario.get("stall", ())
        return "*" in stall or (isinstance(request, dict) and request.get("method") in stall)

    def _handle(self, number: int, request: Any) -> None:
        if not isinstance(request, dict) or request.get("jsonrpc") != "2.0":
            error = {"code": PARSE_ERROR, "message": "not a request"}
            with self.lock:
                self._answer(number, {"jsonrpc": "2.0", "id": 0, "error": error})
        elif request.get("id") is not None:
            method = str(request.get("method"))
            self.ended.wait(self.scenario.get("delay", {}).get(method, 0))
            with self.lock:
                outcome = self._outcome(method, request.get("params") or {})
                self._answer(number, {"jsonrpc": "2.0", "id": request["id"], **outcome})
                self._follow(method)

    def _answer(self, number: int, message: Json) -> None:
        line = json.dumps(message).encode() + b"\n"
        ending = self.scenario.get("exit", {})
        if ending.get("requests") == number:
            part = {"none": 0, "half": len(line) // 2, "whole": len(line)}
            line = line[: part[ending.get("answer", "whole")]]
        self.write((self._noise("answers") if line else b"") + line)
        self._exit_after(number)

    def _outcome(self, method: str, params: Json) -> Json:
        if method in self.scenario.get("errors", {}):
            return {"error": self.scenario["errors"][method]}
        if method not in self.methods:
            return {"error": {"code": NO_METHOD, "message": f"Method not found: {method}"}}
        absent = [name for name in REQUIRED.get(method, ()) if name not in params]
        if absent:
            return {"error": {"code": BAD_PARAMS, "message": f"{' and '.join(absent)} missing"}}
        canned = self.scenario.get("results", {})
        result = canned[method] if method in canned else self.methods[method](params)
        padding = self.scenario.get("pad", {}).get(method, 0)
        target = result[0] if isinstance(result, list) and result else result
        if padding and isinstance(target, dict):
            target["padding"] = "x" * padding
        return {"result": result}

    def _follow(self, method: str) -> None:
        """Do what is to follow the last answer."""
        self.answered[method] += 1
        if self.answered[method] == 1:
            for entry in self.scenario.get("notifications", ()):
                if entry["after"] == method:
                    self.send(entry["method"], entry["params"])
        burst = self.scenario.get("burst", {})
        if (burst.get("after"), burst.get("count", 1)) == (method, self.answered[method]):
            self.burst.start()

    def _burst(self, burst: Json) -> None:
        self.ended.wait(burst.get("delay", 0))
        jobs, final = list(self.world.jobs.values()), burst.get("final", ["done"])
        begin, steps = time.monotonic(), (len(PHASES) + 1) * len(jobs)
        for step in range(steps):
            phase, number = divmod(step, len(jobs))
            last = phase == len(PHASES)
            with self.lock:
                if self.ended.is_set():
                    return
                state = final[number % len(final)] if last else PHASES[phase]
                self._tell(burst, self.world.move(jobs[number], state))
                if last and every(burst.get("stuck", 0), number):
                    self._tell(burst, self.world.stick(jobs[number]))
            due = begin + burst.get("seconds", 0.8) * (step + 1) / steps
            self.ended.wait(max(0, due - time.monotonic()))

    def _tell(self, burst: Json, data: Json) -> None:
        dropped = every(burst.get("drop", 0), self.state_events)
        self.state_events += 1
        if burst.get("notify", True) and not dropped:
            params = {"event_type": "JobStateChangedEvent", "data": data}
            self.send("notification.state_event", params)

    def _noise(self, where: str) -> bytes:
        return str(self.scenario.get("noise", {}).get(where, "")).encode("latin-1")

    def _exit_after(self, number: int) -> None:
        ending = self.scenario.get("exit", {})
        if ending.get("requests") != number:
            return
        sys.stderr.write(ending.get("stderr", ""))
        sys.stderr.flush()
        if ending.get("status", 0) < 0:
            os.kill(os.getpid(), -ending["status"])
        # At once, with a burst or not: an abrupt end runs no handlers either.
        os._exit(ending.get("status", 0))


def main() -> None:
    """Serve as the scenario says."""
    arguments = dict(zip(sys.argv[1:], sys.argv[2:], strict=False))
    file = arguments.get("--scenario") or os.environ["XPM_FAKE_SCENARIO"]
    scenario: Json = json.loads(Path(file).read_text(encoding="utf-8"))
    for deafened in (signal.SIGTERM, signal.SIGHUP) if scenario.get("deaf") else ():
        signal.signal(deafened, signal.SIG_IGN)
    FakeServer(scenario, arguments.get("--workdir", "/fake")).serve()


if __name__ == "__main__":
    main()
