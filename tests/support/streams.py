"""The event stream of a command that runs, checked line by line while it is read."""

from __future__ import annotations

import json
import subprocess
import threading
from itertools import pairwise
from typing import Any

RANKS = {"unscheduled": 0, "waiting": 1, "ready": 2, "scheduled": 3, "running": 4}
FINAL = 5
LIVE_LIMIT = 30.0
"""Seconds for the link of a viewer to be live: the real server starts in two, several at once in more."""


def rank(word: str) -> int:
    """Return the place of a state in the life of a try."""
    return RANKS.get(word, FINAL)


def word_of(document: dict[str, Any], key: str = "state") -> str:
    """Return the state of a job with its reason, as ``error:FAILED``, or a status; with a ``?`` if uncertain."""
    word = ":".join(filter(None, (document[key], document.get("reason"))))
    return word if document.get("certain", True) else f"{word}?"


class Stream:
    """The events that a viewer prints, and what follows from them.

    Args:
        name: What it is called in a report.
        process: The viewer, which prints JSON.

    Attributes:
        words: What is said of each job and experiment now, by its id.
        histories: All that was said of each job.
        dropped: The jobs and experiments of which no run was said to be left.
        faults: What contradicts itself.
    """

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name = name
        self.words: dict[str, str] = {}
        self.histories: dict[str, list[str]] = {}
        self.dropped: set[str] = set()
        self.faults: list[str] = []
        self.lines: list[str] = []
        self._process = process
        self._live = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait_live(self) -> None:
        """Wait until it is live: what happens from now on is told."""
        assert self._live.wait(LIVE_LIMIT), self.lines

    def join(self) -> None:
        """Wait for the end of its lines; its process has ended."""
        self._thread.join(LIVE_LIMIT)

    def steps_back(self, key: str) -> list[str]:
        """Return where a job has come to a state that is not further than that before."""
        history = self.histories.get(key, [])
        return [
            f"{before} → {after}"
            for before, after in pairwise(history)
            if rank(after) <= rank(before)
        ]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)
            event = json.loads(line)
            if event["event"] == "link" and event["phase"] == "live":
                self._live.set()
            elif event["event"] == "job":
                self._take(event, "state")
            elif event["event"] == "experiment":
                self._take(event, "status")

    def _take(self, event: dict[str, Any], key: str) -> None:
        name, before = event["id"], self.words.pop(event["id"], None)
        if event[key] is None:
            self.dropped.add(name)
            return
        word = word_of(event, key)
        if event["previous"] != (before and before.rstrip("?").partition(":")[0]):
            self.faults.append(f"{name} was {event['previous']}, but {before} had been told")
        if key == "state":
            self.histories.setdefault(name, []).append(word)
            if before == word:
                self.faults.append(f"{name} is {word}: told twice")
        self.words[name] = word
