"""The parameters of a job: its values, and the jobs that they come from."""

from __future__ import annotations

from typing import Any

import pytest

from xpm_remote.workspace.inspecting.params import (
    DEPTH_LIMIT,
    TEXT_LIMIT,
    VALUES_LIMIT,
    VISITS_LIMIT,
    find_references,
    needed_in,
    values_of,
)

INDEX = {"id": 1, "type": "Index", "typename": "demo.Index", "identifier": "aa", "task": 1}


def ref(number: object) -> dict[str, object]:
    """Return a reference to an object."""
    return {"type": "python", "value": number}


def params(fields: object, *others: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a job with number 9."""
    own = {"id": 9, "type": "Learn", "identifier": "ff", "task": 9, "fields": fields}
    return {"version": 3, "objects": [*others, own]}


def test_values_have_their_names() -> None:
    """Values are plain; a path is its text, an object its type and fields, a job its type and hash."""
    model = {"id": 2, "type": "Model", "typename": None, "fields": {"layers": [1, 2], "name": "x"}}
    found = values_of(
        params(
            {
                "lr": 0.1,
                "out": {"type": "path", "value": "out.txt", "base": "job"},
                "index": ref(1),
                "model": ref(2),
                "lost": ref([]),
                "free": {"a": {"b": None}},
            },
            INDEX,
            model,
        )
    )
    assert found == {
        "lr": 0.1,
        "out": "out.txt",
        "index": {"type": "demo.Index", "job": "aa"},
        "model": {"type": "Model", "layers": [1, 2], "name": "x"},
        "lost": {"type": None},
        "free": {"a": {"b": None}},
    }


def test_values_are_bounded() -> None:
    """Long texts and lists are cut, and deep values too, whatever refers to itself."""
    own = {"id": 2, "type": "Loop", "fields": {"again": ref(2)}}
    deep: Any = 1
    for _ in range(DEPTH_LIMIT + 2):
        deep = [deep]
    fields = {"text": "x" * 5000, "list": [0] * 5000, "loop": ref(2), "deep": deep}
    fields.update({f"n{number}": 0 for number in range(5000)})
    found = values_of(params(fields, own))
    assert (len(found["text"]), len(found["list"]), len(found)) == (
        TEXT_LIMIT,
        VALUES_LIMIT,
        VALUES_LIMIT,
    )
    assert str(found["loop"]).count("again") == DEPTH_LIMIT
    assert "…" in str(found["deep"])


@pytest.mark.parametrize("broken", [{}, {"objects": 1}, {"objects": [1, {"id": []}]}, params(None)])
def test_broken_parameters_have_no_values(broken: dict[str, Any]) -> None:
    """What is no params.json has no values, and needs nothing."""
    assert values_of(broken) == {}
    assert needed_in(broken) == []


def test_needed_jobs_are_the_nearest() -> None:
    """A job needs those from which its objects come, through other objects, and not what those need."""
    below = {**INDEX, "id": 3, "identifier": "cc", "task": 3}
    index = {**INDEX, "fields": {"source": ref(3)}}
    output = {"id": 4, "type": "Vectors", "identifier": "dd", "task": 1, "fields": {}}
    lost = {"id": 5, "type": "Odd", "identifier": "ee", "task": []}
    model = {"id": 2, "fields": {"vectors": [{"x": ref(4)}], "self": ref(9), "odd": ref(5)}}
    unnamed = {"id": 6, "task": 77}
    own = {"model": ref(2), "gone": ref(88), "unnamed": ref(6)}
    found = needed_in(params(own, below, index, output, lost, model, unnamed))
    assert sorted(found) == ["aa", "ee"]


def test_looking_for_references_is_bounded() -> None:
    """An object of any size is looked at to a bound."""
    assert list(find_references([1] * 3 * VISITS_LIMIT)) == []
    assert list(find_references({"a": [ref(1)], "b": ref(2.5)})) == [1]
