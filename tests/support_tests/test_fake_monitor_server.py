"""The fake monitor server: its answers, and the faults of its scenario."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fakes import FAKE_SERVER
from tests.support_tests.talk import LIMIT, Start, states

pytestmark = pytest.mark.slow


def test_answers_like_a_quiet_server(start: Start) -> None:
    """Without faults it sends no greeting, answers in order, and ends at the end of input."""
    fake = start()
    assert fake.result("get_sync_info") == {
        "protocol_version": "2.0",
        "workspace_path": "/data/my ws",
        "last_sync_time": None,
    }
    assert fake.result("get_experiments") == []
    lines, stderr, status = fake.end_lines()
    assert [json.loads(line)["method"] for line in lines] == ["notification.shutdown"]
    assert (stderr, status) == ("", 0)


def test_takes_the_scenario_from_the_environment(tmp_path: Path) -> None:
    """Without an option the scenario is the file that XPM_FAKE_SCENARIO names."""
    scenario = tmp_path / "s.json"
    scenario.write_text('{"stderr": "found"}')
    done = subprocess.run(
        [sys.executable, FAKE_SERVER, "monitor-server"],
        env={"XPM_FAKE_SCENARIO": str(scenario)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LIMIT,
        check=True,
    )
    assert done.stderr == b"found"


def test_made_up_jobs_belong_to_made_up_experiments(start: Start) -> None:
    """Generated jobs have states in turn, and experiments, jobs, tags and single objects agree."""
    fake = start(generate={"experiments": 2, "jobs": 5, "states": ["done", "error", "running"]})
    first, second = fake.result("get_experiments")
    assert [len(first["job_infos"]), len(second["job_infos"])] == [3, 2]
    jobs = fake.result("get_jobs", experiment_id="experiment-0")
    assert [job["job_id"] for job in jobs] == list(first["job_states"])
    assert states(jobs) == ["done", "running", "error"] == list(first["job_states"].values())
    assert fake.result("get_job", task_id=jobs[0]["task_id"], job_id=jobs[0]["job_id"]) == jobs[0]
    assert fake.result("get_tags_map", experiment_id="experiment-1")[
        next(iter(second["job_infos"]))
    ] == {"x": 1, "kind": "b"}
    assert len(fake.result("get_jobs")) == len(fake.result("get_all_jobs")) == 5
    assert fake.result("get_experiment", experiment_id="experiment-0") == first
    assert fake.result("get_experiment", experiment_id="none") is None
    assert fake.result("get_jobs", experiment_id="none") == []


def test_canned_objects_are_answered_as_they_are(start: Start) -> None:
    """Experiments, jobs and results of the scenario are answered unchanged."""
    job = {"job_id": "j", "task_id": "t", "state": "strange", "unknown": [1]}
    experiment = {"experiment_id": "e", "job_infos": {"j": {}}}
    fake = start(experiments=[experiment], jobs=[job], results={"get_services": [{"a": 1}]})
    assert fake.result("get_experiments") == [experiment]
    assert fake.result("get_jobs", experiment_id="e") == [job]
    assert fake.result("get_services") == [{"a": 1}]


def test_protocol_1_has_what_it_had(start: Start) -> None:
    """In protocol 1.0 objects have other keys, and two methods do not exist."""
    fake = start(protocol_version="1.0", generate={"jobs": 2, "states": ["done", "error"]})
    assert fake.result("get_sync_info")["protocol_version"] == "1.0"
    (experiment,) = fake.result("get_experiments")
    assert (experiment["finished_jobs"], experiment["failed_jobs"]) == (1, 1)
    assert {"job_states", "runs_count"}.isdisjoint(experiment)
    job = fake.result("get_jobs")[0]
    assert "submitted_time" in job
    assert {"scheduler_state", "scheduler_failure_reason"}.isdisjoint(job)
    assert fake.call("get_orphan_jobs")["error"]["code"] == -32601


def test_errors_have_the_codes_of_json_rpc(start: Start) -> None:
    """Unknown and missing methods, absent parameters, requested errors and bad JSON have different codes."""
    fake = start(missing=["get_services"], errors={"get_jobs": {"code": -32603, "message": "no"}})
    codes = [
        fake.call(method)["error"]["code"]
        for method in ("nonsense", "get_services", "get_job", "get_jobs")
    ]
    assert codes == [-32601, -32601, -32602, -32603]
    fake.write(b"}\n5\n")
    assert [fake.read()["error"]["code"] for _ in range(2)] == [-32700, -32700]
    fake.write(b'{"jsonrpc": "2.0", "id": null, "method": "get_jobs"}\n')
    assert fake.result("get_experiments") == []


def test_noise_is_written_where_it_is_asked_for(start: Start) -> None:
    """Noise before everything, answers and notifications keeps its bytes, and gets no newline."""
    fake = start(
        noise={"start": "hi\n42\ncaf\u00e9\nglued ", "answers": "{}\n", "notifications": "n "},
        notifications=[{"after": "get_jobs", "method": "m", "params": {"a": 1}}],
    )
    fake.ask("get_jobs")
    lines, _, _ = fake.end_lines()
    assert lines[:4] == [b"hi", b"42", b"caf\xe9", b"glued {}"]
    assert json.loads(lines[4])["id"] == 1
    assert json.loads(lines[5].removeprefix(b"n ")) == {
        "jsonrpc": "2.0",
        "method": "m",
        "params": {"a": 1},
    }


def test_a_notification_follows_the_first_answer_only(start: Start) -> None:
    """A canned notification is sent once, after its method was answered."""
    fake = start(notifications=[{"after": "get_jobs", "method": "m", "params": {}}])
    fake.ask("get_experiments")
    fake.ask("get_jobs")
    fake.ask("get_jobs")
    order = [json.loads(line) for line in fake.end_lines()[0]]
    assert [message.get("id") or message["method"] for message in order] == [
        *(1, 2, "m", 3),
        "notification.shutdown",
    ]


def test_ends_at_the_start(start: Start) -> None:
    """It can fail before the first request, with a status and a text on stderr."""
    fake = start(exit={"requests": 0, "status": 3, "stderr": "no module named x\n"})
    assert fake.end_lines() == ([], "no module named x\n", 3)


@pytest.mark.parametrize(("answer", "share"), [("none", 0), ("half", 0.5), ("whole", 1)])
def test_ends_at_a_request(start: Start, answer: str, share: float) -> None:
    """It can end before, in the middle of, or after the answer to the nth request."""
    whole = start(generate={"jobs": 3})
    whole.ask("get_jobs")
    expected = whole.stdout.readline()
    fake = start(generate={"jobs": 3}, exit={"requests": 2, "answer": answer, "status": 1})
    fake.call("get_experiments")
    fake.ask("get_jobs")
    rest = fake.stdout.read()
    assert len(rest) == int(len(expected) * share)
    assert fake.process.wait(LIMIT) == 1


def test_ends_by_a_signal(start: Start) -> None:
    """A negative status is a death by that signal."""
    fake = start(exit={"requests": 1, "status": -signal.SIGKILL})
    assert fake.result("get_experiments") == []
    assert fake.process.wait(LIMIT) == -signal.SIGKILL


@pytest.mark.parametrize("stall", ["get_jobs", "*"])
def test_stalls(start: Start, tmp_path: Path, stall: str) -> None:
    """From a stalling method on no request is answered, but requests are read, and the end of stdin ends it."""
    log = tmp_path / "requests"
    fake = start(stall=[stall], request_log=str(log))
    fake.ask("get_experiments")
    fake.ask("get_jobs")
    fake.ask("get_experiments")
    lines, _, status = fake.end_lines()
    ids = [json.loads(line).get("id") for line in lines]
    assert ids == ([None] if stall == "*" else [1, None])
    assert status == 0
    assert len(log.read_text().splitlines()) == 3


def test_a_deaf_server_outlives_its_input_and_sigterm(start: Start) -> None:
    """A deaf server has to be killed."""
    fake = start(deaf=True)
    fake.result("get_experiments")
    fake.process.terminate()
    assert fake.process.stdin is not None
    fake.process.stdin.close()
    with pytest.raises(subprocess.TimeoutExpired):
        fake.process.wait(0.3)


def test_delays_a_method(start: Start) -> None:
    """A delayed answer comes late, and the others come after it: one request at a time."""
    fake = start(delay={"get_jobs": 0.3})
    fake.ask("get_jobs")
    fake.ask("get_experiments")
    assert [fake.read()["id"], fake.read()["id"]] == [1, 2]


def test_pads_an_answer_to_a_huge_line(start: Start) -> None:
    """A padded answer is one line of at least that many bytes, and still valid."""
    fake = start(generate={"jobs": 2}, pad={"get_jobs": 3_000_000})
    fake.ask("get_jobs")
    line = fake.stdout.readline()
    assert len(line) > 3_000_000
    assert states(json.loads(line)["result"]) == ["done", "done"]
    assert len(json.dumps(fake.result("get_experiments"))) < 10_000


def test_logs_requests_as_they_came(start: Start, tmp_path: Path) -> None:
    """The log has each request with its parameters."""
    log = tmp_path / "requests"
    fake = start(request_log=str(log))
    fake.call("get_experiments", refresh=True)
    (request,) = map(json.loads, log.read_text().splitlines())
    assert (request["method"], request["params"]) == ("get_experiments", {"refresh": True})
