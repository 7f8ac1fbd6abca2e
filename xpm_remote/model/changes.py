"""What differs between two moments, entity by entity."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

import msgspec

from xpm_remote.model.entities import Experiment, Job

_Entity = TypeVar("_Entity", Job, Experiment)


class JobChange(msgspec.Struct, frozen=True):
    """One job changed; ``before`` is None for a new one, ``after`` for one that is gone.

    ``at`` is when it happened on the remote, as far as that is known.
    """

    before: Job | None
    after: Job | None
    at: datetime | None = None

    @property
    def key(self) -> str:
        """The key of the job."""
        return _either(self.before, self.after).key


class ExperimentChange(msgspec.Struct, frozen=True):
    """One experiment changed; ``before`` is None for a new one, ``after`` for one that is gone."""

    before: Experiment | None
    after: Experiment | None

    @property
    def key(self) -> str:
        """The name of the experiment."""
        return _either(self.before, self.after).experiment_id


Change = JobChange | ExperimentChange


def net(changes: Iterable[Change]) -> list[Change]:
    """Give what a series of changes comes to: at most one for each entity, none where it ends as it began.

    The order is that of the last change of each.
    """
    total: dict[tuple[type, str], Change] = {}
    for change in changes:
        name = (type(change), change.key)
        earlier = total.pop(name, None)
        total[name] = change if earlier is None else _joined(earlier, change)
    return [change for change in total.values() if change.before != change.after]


def in_time_order(changes: Iterable[Change]) -> list[Change]:
    """Order changes by when they happened on the remote; those of which that is unknown come last."""
    return sorted(changes, key=_moment)


def _moment(change: Change) -> float:
    at = change.at if isinstance(change, JobChange) else _experiment_time(change.after)
    return at.timestamp() if at is not None else math.inf


def _experiment_time(experiment: Experiment | None) -> datetime | None:
    return (experiment.ended or experiment.started) if experiment is not None else None


def _joined(earlier: Change, later: Change) -> Change:
    # Both are of one type: they share the name under which they were found.
    return msgspec.structs.replace(later, before=earlier.before)


def _either(before: _Entity | None, after: _Entity | None) -> _Entity:
    entity = after if after is not None else before
    if entity is None:
        raise ValueError("a change has an entity before or after it")
    return entity
