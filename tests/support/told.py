"""Real experiments on the test server whose jobs do what they are told, and an independent reader of the facts.

Nothing here uses our package. What is true of a job follows from what it was told (by the test), and from the raw
facts of its host (by ``scripts/told/witness.py``): processes, locks and markers.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from tests.support.experiments import SCRIPTS
from tests.support.polling import wait_until
from tests.support.server import Server

TOLD_LIMIT = 60.0
"""Seconds for a moment to be reached: a dozen processes start a python each, two at a time."""

Plan = Sequence[Sequence[tuple[str, str, dict[str, object]]]]
"""The jobs of each phase of an experiment: name, task, options."""

_REASONS = {"failed": "FAILED", "timeout": "TIMEOUT", "cancelled": "CANCELLED"}


class ToldWorkspace:
    """A workspace whose experiments and jobs are told what to do.

    Args:
        server: The test server.
        login: Whose workspace it is.
        name: Its name in the home.

    Attributes:
        path: The workspace on the server.
        facts: The raw facts, by experiment, as of the last look.
    """

    def __init__(self, server: Server, login: str, name: str) -> None:
        self._server = server
        self._login = login
        self._root = f"{server.home(login)}/{name}"
        self.path = f"{self._root}/ws"
        self._control = f"{self._root}/control"
        self._told: dict[str, list[str]] = {}
        self._sources: dict[str, str] = {}
        self._submitted: Counter[str] = Counter()
        self._stopped: dict[str, int] = {}
        self._turns: Counter[str] = Counter()
        self._retried: set[str] = set()
        self._schedulers: dict[str, subprocess.Popen[str]] = {}
        self.facts: dict[str, Any] = {}
        for script in sorted((SCRIPTS / "told").glob("*.py")):
            server.write(login, f"{self._root}/told/{script.name}", script.read_text())
        self._run(f"mkdir -p {self._control} {self.path}; touch {self.path}/.__experimaestro__")

    def start(self, experiment: str, plan: Plan) -> None:
        """Start an experiment, or start it again."""
        for phase in plan:
            for name, _, options in phase:
                self._turns[name] += 1
                self._submitted[name] += 1
                if "source" in options:
                    self._sources[name] = str(options["source"])
        words = [
            self._server.remote_python,
            f"{self._root}/told/told_experiment.py",
            *(self.path, experiment, self._control, json.dumps(plan)),
        ]
        output = self._server.folder / f"told-{experiment}-{len(self._schedulers)}.log"
        self._schedulers[experiment] = self._server.spawn(self._login, shlex.join(words), output)

    def wait(self, experiment: str) -> None:
        """Wait for the end of the process of an experiment."""
        self._schedulers[experiment].wait(TOLD_LIMIT)

    def tell(self, name: str, word: str) -> None:
        """Tell the latest attempt of a job, or the script of an experiment, what to do; it listens already."""
        found = self._fact(name)
        attempt = found.get("attempts") or found["phases"]
        self._told.setdefault(name, []).append(word)
        self._run(f"echo {word} > {self._control}/{name}.{attempt}.fifo")

    def kill(self, name: str, signal: str = "KILL") -> None:
        """Send a signal to the process of a job, or of an experiment."""
        self._told.setdefault(name, []).append(signal)
        self._run(f"kill -{signal} {self._fact(name)['pid']}")

    def close_gate(self) -> None:
        """Hold the next job of the task ``Held`` before its first line."""
        self._run(f"mkfifo {self._control}/gate")

    def open_gate(self) -> None:
        """Let the held job go on."""
        self._run(f"echo > {self._control}/gate")

    def mark_as_dead(self, name: str) -> None:
        """Mark a job that runs as experimaestro's server marks a dead one: only its lock tells that it lives."""
        base = self._base(name)
        marker = {"code": 1, "reason": "failed", "message": "Process died without writing markers"}
        self._run(f"rm {base}.pid; echo {shlex.quote(json.dumps(marker))} > {base}.failed")

    def delete(self, name: str) -> None:
        """Delete the directory of a job."""
        self._turns[name] += 1
        self._run(f"rm -r {PurePosixPath(self._base(name)).parent}")

    def note_retry(self, name: str) -> None:
        """Note that a job was told to run out of time, and is tried again in the same run."""
        self._turns[name] += 1
        self._retried.add(name)

    def turns(self, name: str) -> int:
        """Return how often a job had reason to go back to an earlier state.

        It was submitted again, tried again, left by its scheduler before it had run, or deleted.
        """
        return self._turns[name] - 1

    def was_started_again(self, name: str) -> bool:
        """Return whether the experiment of a job was started again."""
        return self._submitted[name] > 1

    def ends_of_retries(self, name: str) -> set[str]:
        """Return the final states that a job had before it was tried again."""
        return {"error:TIMEOUT"} if name in self._retried else set()

    def look(self) -> None:
        """Read the raw facts."""
        script = (SCRIPTS / "told" / "witness.py").read_text()
        self.facts = json.loads(self._run(f"python3 - {self.path} {self._control}", input=script))

    def reach(self, moment: str, expected: dict[str, str]) -> None:
        """Wait until the facts are what the test's own script has come to.

        Args:
            moment: Its name.
            expected: The true states, by the name of a job or experiment; a job's with its reason, as ``error:FAILED``.
        """

        def is_reached() -> bool:
            self.look()
            return self.truth() == expected

        before = self.truth()
        try:
            wait_until(is_reached, TOLD_LIMIT, moment)
        except TimeoutError as error:
            truth = self.truth()
            differing = {
                name: (expected.get(name), truth.get(name), self._fact(name))
                for name in {*expected, *truth}
                if expected.get(name) != truth.get(name)
            }
            raise AssertionError(f"{moment} is not reached: {differing}") from error
        left = [
            name for name, word in expected.items() if word == "unscheduled" != before.get(name)
        ]
        self._turns.update(left)
        for name, word in expected.items():
            if word == "error:DEPENDENCY":
                self._stopped[name] = self._submitted[name]

    def truth(self) -> dict[str, str]:
        """Return what is true by the facts: the state of every job and the status of every experiment."""
        found: dict[str, str] = {}
        for name, experiment in self.facts.items():
            found[name] = self._status(name, experiment)
            for job in experiment["jobs"]:
                found[job] = self._state(job, experiment)
        return found

    def names(self) -> dict[str, str]:
        """Return the names of jobs by their ids."""
        return {
            job["id"]: name
            for experiment in self.facts.values()
            for name, job in experiment["jobs"].items()
        }

    def remove(self) -> None:
        """End what runs, and delete the workspace."""
        self.look()
        for experiment in self.facts.values():
            for each in (experiment, *experiment["jobs"].values()):
                if each["is_alive"]:
                    self._run(f"kill -KILL {each['pid']}")
        self._run(f"rm -rf {self._root}")

    def _status(self, name: str, experiment: dict[str, Any]) -> str:
        if experiment["is_alive"]:
            return "running"
        last = self._told.get(name, [""])[-1]
        return {"KILL": "crashed", "raise": "failed", "detach": "detached"}.get(last, "done")

    def _state(self, name: str, experiment: dict[str, Any]) -> str:
        """Return the state of a job: what holds its lock runs; then markers count, then the lack of a process."""
        job = experiment["jobs"][name]
        told = self._told.get(name, [])
        if job["is_alive"] and job["is_locked"]:
            return "running"
        if not job["exists"] and "done" in told:
            return "error:MISSING_OUTPUTS"
        if job["done"]:
            return "done"
        if job["failed"]:
            return f"error:{_REASONS[job['failed']]}"
        if job["attempts"] and not job["is_alive"] and len(told) == job["attempts"]:
            return "error:FAILED"
        if job["is_launched"]:
            return "scheduled"
        if self._is_stopped(name, experiment):
            return "error:DEPENDENCY"
        return "waiting" if experiment["is_alive"] else "unscheduled"

    def _is_stopped(self, name: str, experiment: dict[str, Any]) -> bool:
        """Return whether what a job depends on has failed, and its scheduler has found that since it was submitted."""
        if self._stopped.get(name) == self._submitted[name]:
            return True
        if self._status(self._experiment(name), experiment) == "crashed":
            return False  # what its file tells is of an earlier run
        source = self._sources.get(name, "")
        is_told = bool(source) and experiment["jobs"][name]["stopped"] == "DEPENDENCY"
        return is_told and self._state(source, experiment).startswith("error")

    def _experiment(self, name: str) -> str:
        """Return the experiment of a job."""
        return next(key for key, each in self.facts.items() if name in each["jobs"])

    def _fact(self, name: str) -> dict[str, Any]:
        if name in self.facts:
            return dict(self.facts[name])
        found = (each["jobs"][name] for each in self.facts.values() if name in each["jobs"])
        return dict(next(found, {}))

    def _base(self, name: str) -> str:
        """Return the common part of the names of a job's files."""
        task, job = self._fact(name)["id"].split("/")
        return f"{self.path}/jobs/{task}/{job}/{task.rpartition('.')[2]}"

    def _run(self, command: str, input: str | None = None) -> str:
        return self._server.run(self._login, command, input=input)
