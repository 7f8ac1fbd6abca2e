"""Pictures for tests: a realistic one, and any that a remote could make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from tests.model.builders import EXPERIMENT, RUN, ZONE, epoch, info, iso, job_record
from xpm_remote.model.records import (
    ExperimentRecord,
    JobInfoRecord,
    JobRecord,
    ProgressRecord,
    ServiceRecord,
)
from xpm_remote.model.store import Store
from xpm_remote.session.state import Digest, LinkState, Phase, Picture
from xpm_remote.ui.documents import NO_MESSAGES

NOW = epoch(3600)
"""An hour after the start of the experiments."""


def picture(
    store: Store | None = None,
    *,
    phase: Phase = Phase.LIVE,
    heard: float | None = NOW - 2,
    detail: str = "",
    skew: float = 0.0,
    messages: Mapping[str, str] = NO_MESSAGES,
    **link: Any,
) -> Picture:
    """Make a picture of a link that has been in this state for a minute."""
    return Picture(
        host="alice@cluster",
        workspace="/data/ws",
        link=LinkState(phase, NOW - 60, detail, **link),
        heard=heard,
        skew=skew,
        store=Store(ZONE) if store is None else store,
        messages=messages,
    )


def busy_store() -> Store:
    """Make a store with a running and a finished experiment, and jobs in every group of states."""
    store = Store(ZONE)
    words = {
        "running-job": "running",
        "done-job": "done",
        "failed-job": "error:TIMEOUT",
        "waiting-1": "waiting",
        "waiting-2": "waiting",
        "idle-job": "unscheduled",
    }
    tags = {"lr": 0.1, "model": "big"}
    store.apply_experiments(
        [
            ExperimentRecord(
                "finished",
                run_id="20261121_090000",
                status="done",
                started_at=iso(-7200),
                ended_at=iso(-3600),
                job_states={"old-job": "done"},
                job_infos={"old-job": info("old-job", submitted=-7200)},
                runs_count=2,
            ),
            ExperimentRecord(
                EXPERIMENT,
                run_id=RUN,
                status="running",
                hostname="node1",
                started_at=iso(0),
                job_states=words,
                job_infos={name: info(name, tags=tags, submitted=5) for name in words},
                services={"board": ServiceRecord("board", "web page", "RUNNING", "http://node1")},
            ),
        ]
    )
    store.apply_jobs(
        EXPERIMENT,
        [
            job_record(
                "running-job",
                "running",
                started=600,
                progress=[(0, 0.45, "epoch 5"), (1, 0.5, "batch 10")],
            ),
            job_record("done-job", "done", started=60, ended=120),
            job_record("failed-job", "error", started=60, ended=1800, reason="FAILED"),
        ],
    )
    return store


# Anything that a remote could send

HOSTILE = st.text(
    st.sampled_from(
        "ab[/]: \n\r\t\x00\x1b\x07\x9b\x7f\u202e\u2066\u200b\ufeff\u00ad漢e\u0301😀\ud800"
    )
    | st.characters(),
    max_size=12,
)
"""Text with what moves a cursor, turns a line round, hides, takes two columns or none, or is half a character."""

_MOMENTS = st.none() | st.integers(-100_000, 100_000).map(float)
_STATES = st.sampled_from(
    ["unscheduled", "waiting", "ready", "scheduled", "running", "done", "error", "odd"]
)
_STEPS = st.builds(ProgressRecord, st.integers(0, 3), st.floats(0, 1), st.none() | HOSTILE)
_TAGS = st.none() | st.dictionaries(HOSTILE, HOSTILE | st.integers() | st.floats(), max_size=3)


@st.composite
def experiments(draw: st.DrawFn) -> tuple[ExperimentRecord, list[JobRecord]]:
    """Make an experiment with its jobs."""
    ids = draw(st.lists(HOSTILE, max_size=8, unique=True))
    tasks = {job_id: draw(HOSTILE) for job_id in ids}
    experiment = ExperimentRecord(
        experiment_id=draw(HOSTILE),
        run_id=draw(HOSTILE),
        status=draw(st.sampled_from(["running", "done", "failed"]) | HOSTILE),
        started_at=iso(draw(_MOMENTS)),
        ended_at=iso(draw(_MOMENTS)),
        job_infos={
            job_id: JobInfoRecord(job_id, task, draw(_TAGS), epoch(0))
            for job_id, task in tasks.items()
        },
    )
    jobs = [
        JobRecord(
            job_id,
            task,
            state=draw(_STATES),
            failure_reason=draw(st.none() | HOSTILE),
            started_time=iso(draw(_MOMENTS)),
            ended_time=iso(draw(_MOMENTS)),
            progress=draw(st.lists(_STEPS, max_size=3)),
        )
        for job_id, task in tasks.items()
    ]
    return experiment, jobs


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    """Make any picture."""
    store = Store(ZONE)
    told = draw(st.lists(experiments(), max_size=5, unique_by=lambda pair: pair[0].experiment_id))
    store.apply_experiments([experiment for experiment, _ in told])
    for experiment, jobs in told:
        store.apply_jobs(experiment.experiment_id, jobs)
    return Picture(
        host=draw(HOSTILE),
        workspace=draw(HOSTILE),
        link=LinkState(
            draw(st.sampled_from(Phase)),
            NOW - 60,
            draw(HOSTILE),
            stale_since=draw(st.none() | st.floats(0, NOW)),
            retry_at=draw(st.none() | st.floats(0, 2 * NOW)),
            digest=draw(st.none() | st.builds(Digest, away=st.floats(0, NOW))),
        ),
        heard=draw(st.none() | st.floats(0, NOW)),
        skew=draw(st.floats(-1e6, 1e6)),
        store=store,
    )


# The example of docs/json.md

LONG_JOB = "8e9530b2dfa66c118883da9dfdd00b1e51580dd7d2bd3e9d64096bcb13773efd"
BAD_JOB = "1d6ca02c3ce2528a562d7ab84cf2e175ff8d6fd53d3891323ebbde9bf007999b"


def example_experiment(status: str = "running", ended: float | None = None) -> ExperimentRecord:
    """Make an experiment with a service and two jobs."""
    return ExperimentRecord(
        "learning-rates",
        run_id=RUN,
        status=status,
        hostname="node1",
        started_at=iso(0),
        ended_at=iso(ended),
        job_states={
            LONG_JOB: "scheduled" if ended is None else "done",
            BAD_JOB: "error:TIMEOUT" if ended is None else "error",
        },
        job_infos={
            LONG_JOB: JobInfoRecord(LONG_JOB, "demo.train", {"lr": 0.1}, epoch(5)),
            BAD_JOB: JobInfoRecord(BAD_JOB, "demo.train", {"lr": 10}, epoch(5.5)),
        },
        services={"board": ServiceRecord("board", "web page", "RUNNING", "http://node1")},
        runs_count=3,
    )


def example_picture() -> Picture:
    """Make a small picture: one experiment, a job that runs and one that failed."""
    store = Store(ZONE)
    store.apply_experiments([example_experiment()])
    running = JobRecord(
        LONG_JOB,
        "demo.train",
        path=f"/data/ws/jobs/demo.train/{LONG_JOB}",
        state="running",
        started_time=iso(60),
        progress=[ProgressRecord(0, 0.25, "epoch 1"), ProgressRecord(1, 0.5, "batch 32")],
    )
    failed = JobRecord(
        BAD_JOB,
        "demo.train",
        path=f"/data/ws/jobs/demo.train/{BAD_JOB}",
        state="error",
        failure_reason="FAILED",
        started_time=iso(60),
        ended_time=iso(1860.25),
        exit_code=1,
    )
    store.apply_jobs("learning-rates", [running, failed])
    return picture(store)
