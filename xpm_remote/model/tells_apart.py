"""What tells failed jobs apart from others: the tags, tasks, hosts and experiments that they have more often. Pure."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

FEWEST = 5
"""Failed jobs with a trait from which it is told: fewer have something in common by chance."""

LEAST_LIFT = 2.0
"""How many times as often the failed jobs must have a trait."""

TASK, HOST, EXPERIMENT = "@task", "@host", "@experiment"
"""The names of the traits that are no tags; a tag begins with a letter."""

Traits = frozenset[tuple[str, str]]
"""The traits of a job: names, and values as JSON, in which 1, true and "1" differ."""


class Distinction(NamedTuple):
    """A trait that failed jobs have more often than others.

    Attributes:
        name: The tag, or ``@task``, ``@host`` or ``@experiment``.
        value: Its value.
        failed_with: How many of the failed jobs have it.
        failed: How many failed jobs there are.
        others_with: How many of the others have it.
        others: How many others there are.
    """

    name: str
    value: Any
    failed_with: int
    failed: int
    others_with: int
    others: int

    @property
    def lift(self) -> float:
        """How many times as often the failed jobs have it; infinite where no other has it."""
        if not self.others_with:
            return math.inf
        return (self.failed_with * self.others) / (self.failed * self.others_with)


def traits_of(
    task: str, tags: Mapping[str, Any], experiments: Iterable[str], hosts: Iterable[str] = ()
) -> Traits:
    """Return the traits of a job.

    Args:
        task: Its task.
        tags: Its tags.
        experiments: The experiments that have it.
        hosts: Where it ran, as far as that is known; else the hosts of its experiments.
    """
    pairs = [*tags.items(), (TASK, task), *((EXPERIMENT, each) for each in experiments)]
    pairs += [(HOST, each) for each in hosts]
    return frozenset((name, json.dumps(value, sort_keys=True)) for name, value in pairs)


def tells_apart(failed: Iterable[Traits], others: Iterable[Traits]) -> list[Distinction]:
    """Return what failed jobs have at least ``LEAST_LIFT`` times as often as others, what tells them apart best first.

    Args:
        failed: The traits of each job that failed by one cause; ``FEWEST`` or more.
        others: Those of each job that did not, such as the ones that succeeded.
    """
    failures, successes = list(failed), list(others)
    if not successes:
        return []
    with_it = Counter(trait for traits in failures for trait in traits)
    without = Counter(trait for traits in successes for trait in traits)
    found = [
        Distinction(
            name, json.loads(value), count, len(failures), without[name, value], len(successes)
        )
        for (name, value), count in with_it.items()
        if count >= FEWEST
    ]
    return sorted((each for each in found if each.lift >= LEAST_LIFT), key=_best_first)


def _best_first(each: Distinction) -> tuple[float, float, str, str]:
    """Return a key that sorts by how much greater the share of the failed jobs is, and then by lift."""
    difference = each.failed_with / each.failed - each.others_with / each.others
    return (-difference, -each.lift, each.name, str(each.value))
