#!/usr/bin/env python3
"""Run a real experiment with experimaestro's direct launcher.

Run with the python of a venv that holds ``experimaestro``, HOME pointing at a folder for the purpose:

    python make_workspace.py --workspace $PWD/ws --experiment demo --ok 3 --fail 1 --dep 1 --long 2

Every kind of job has its own counter option. Identifiers depend on the parameters only, so running
it again re-uses finished jobs.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

import demo_tasks as tasks
from experimaestro import experiment, tag
from experimaestro.connectors.local import LocalConnector
from experimaestro.scheduler.experiment import GracefulExperimentExit
from experimaestro.scheduler.transient import TransientMode
from experimaestro.settings import get_workspace

HERE = Path(__file__).resolve().parent
CRASH_STATUS = 9
NEVER_ENOUGH = 99
"""Attempts that no limit of retries grants."""

KINDS = {
    "ok": "short tasks that succeed",
    "fail": "tasks that raise",
    "dep": "tasks that depend on an ok task",
    "depfail": "tasks that depend on a failing task",
    "long": "long tasks that report progress",
    "deplong": "tasks that wait for a long task",
    "resume": "resumable tasks: one timeout, then ok",
    "giveup": "resumable tasks that always time out",
    "selfkill": "tasks that SIGKILL themselves",
    "sigterm": "tasks that SIGTERM themselves",
    "partial": "tasks that use a partial folder",
    "token": "tasks that hold a counter token",
    "transient": "transient tasks that nobody needs",
    "nobackup": "ok tasks that opt out of the backup folders",
    "output": "tasks that announce outputs while they run",
}


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--workspace", type=Path, help="workspace path (no settings used)")
    where.add_argument("--workspace-id", help="workspace id in settings.yaml (folders used)")
    parser.add_argument("--experiment", default="demo")
    for kind, text in KINDS.items():
        parser.add_argument(f"--{kind}", type=int, default=0, metavar="N", help=text)
    parser.add_argument("--long-seconds", type=float, default=20.0)
    parser.add_argument("--long-steps", type=int, default=20)
    parser.add_argument("--service", action="store_true", help="register a service")
    parser.add_argument("--action", action="store_true", help="register an action")
    parser.add_argument("--offset", type=int, default=0, help="shift all parameter values")
    after = "after N seconds in the experiment's body"
    parser.add_argument("--detach-after", type=float, metavar="N", help=f"detach {after}")
    parser.add_argument("--crash-after", type=float, metavar="N", help=f"crash {after}")
    parser.add_argument("--raise-after", type=float, metavar="N", help=f"raise {after}")
    args = parser.parse_args()
    for dependent, source in (("dep", "ok"), ("depfail", "fail"), ("deplong", "long")):
        if getattr(args, dependent) and not getattr(args, source):
            parser.error(f"--{dependent} needs --{source}")
    return args


def submit_short(args: argparse.Namespace) -> None:
    """Submit what finishes or fails at once, and what depends on it."""
    o = args.offset
    ok = [
        tasks.Ok.C(x=tag(o + i), kind=tag("a" if i % 2 else "b")).submit() for i in range(args.ok)
    ]
    bad = [tasks.Bad.C(x=tag(o + i)).submit() for i in range(args.fail)]
    for i in range(args.dep):
        tasks.Dep.C(source=ok[i % len(ok)], y=o + i).submit()
    for i in range(args.depfail):
        tasks.DepBad.C(source=bad[i % len(bad)], y=o + i).submit()


def submit_long(args: argparse.Namespace) -> None:
    """Submit what runs long, and what waits for it."""
    o = args.offset
    long = [
        tasks.Long.C(seconds=args.long_seconds, steps=args.long_steps, x=tag(o + i)).submit()
        for i in range(args.long)
    ]
    for i in range(args.deplong):
        tasks.DepLong.C(source=long[i % len(long)], y=o + i).submit()


def submit_troubled(args: argparse.Namespace) -> None:
    """Submit what runs out of time, or ends by a signal."""
    o = args.offset
    for i in range(args.resume):
        tasks.Resume.C(x=o + i, attempts=1).submit()
    for i in range(args.giveup):
        tasks.Resume.C(x=o + i, attempts=NEVER_ENOUGH).submit(max_retries=1)
    for i in range(args.selfkill):
        tasks.SelfSignal.C(x=o + i, signum=int(signal.SIGKILL)).submit()
    for i in range(args.sigterm):
        tasks.SelfSignal.C(x=o + i, signum=int(signal.SIGTERM)).submit()


def submit_special(args: argparse.Namespace) -> None:
    """Submit what uses the rarer features of experimaestro."""
    o = args.offset
    for i in range(args.partial):
        tasks.WithPartial.C(iters=o + i, lr=1).submit()
    token = LocalConnector.instance().createtoken("demo-token", 1) if args.token else None
    for i in range(args.token):
        holder = tasks.Ok.C(x=o + 1000 + i, kind="token")
        holder.add_dependencies(token.dependency(1))
        holder.submit()
    for i in range(args.transient):
        transient = tasks.Ok.C(x=o + 2000 + i, kind="transient")
        transient.submit(transient=TransientMode.TRANSIENT)
    for i in range(args.nobackup):
        # submit() of 2.7.0 rejects backup=; only the method behind it accepts it.
        tasks.Ok.C(x=o + 3000 + i, kind="nobackup").__xpm__.submit(None, None, backup=False)
    for i in range(args.output):
        tasks.WithOutput.C(x=o + i, source=tasks.OutSource.C(z=1)).submit()


def register(args: argparse.Namespace, xp: Any) -> None:  # experimaestro's own
    """Register the service and the action."""
    if args.service:
        xp.add_service(tasks.DemoService(Path(xp.workspace.path) / "jobs", note="hello"))
    if args.action:
        xp.add_action(tasks.DemoAction.C(message="hi"))


def leave(args: argparse.Namespace) -> None:
    """Leave the experiment's body in the way that was asked for."""
    if args.detach_after is not None:
        time.sleep(args.detach_after)
        raise GracefulExperimentExit
    if args.crash_after is not None:
        time.sleep(args.crash_after)
        os._exit(CRASH_STATUS)
    if args.raise_after is not None:
        time.sleep(args.raise_after)
        raise RuntimeError("experiment body failed")


def main() -> None:
    """Run the experiment that the command line describes."""
    args = parse()
    logging.basicConfig(level=logging.WARNING)
    env = get_workspace(args.workspace_id) if args.workspace_id else args.workspace
    with experiment(env, args.experiment) as xp:
        xp.setenv("PYTHONPATH", str(HERE))
        submit_short(args)
        submit_long(args)
        submit_troubled(args)
        submit_special(args)
        register(args, xp)
        leave(args)


if __name__ == "__main__":
    main()
