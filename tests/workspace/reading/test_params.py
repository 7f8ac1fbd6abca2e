"""Which other jobs a job needs, by its parameters."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workspace.disk import write
from xpm_remote.workspace.layout import JobId
from xpm_remote.workspace.reading.json_files import Problems
from xpm_remote.workspace.reading.params import dependencies_of, read_dependencies

SOURCE = {"id": 1, "module": "m", "type": "Ok", "typename": "m.Ok", "identifier": "aa", "task": 1}
OWN = {"id": 9, "module": "m", "type": "Dep", "identifier": "bb", "task": 9}


def test_dependency(tmp_path: Path) -> None:
    """A job depends on the other jobs among its objects, each once, and not on itself."""
    path = write(tmp_path / "params.json", {"objects": [SOURCE, SOURCE, {"id": 3}, OWN, OWN]})
    assert read_dependencies(str(path), Problems()) == (JobId("m.ok", "aa"),)


def test_output_of_a_job() -> None:
    """An object that a job made names that job by its number."""
    made = {"id": 2, "module": "m", "type": "Model", "identifier": "cc", "task": 1}
    assert dependencies_of({"objects": [made, SOURCE, OWN]}) == (JobId("m.ok", "aa"),)


def test_name_without_module_path() -> None:
    """Where there is no full name of the type, it is made of module and type."""
    source = {"id": 1, "module": "a.b", "type": "Learn", "identifier": "aa", "task": 1}
    assert dependencies_of({"objects": [source, OWN]}) == (JobId("a.b.learn", "aa"),)


@pytest.mark.parametrize("name", ["../x", ".hidden", "a/b", "a\nb", ""])
def test_hostile_names(name: str) -> None:
    """What could not be the id of a job is no dependency."""
    assert dependencies_of({"objects": [{**SOURCE, "identifier": name}, OWN]}) == ()
    assert dependencies_of({"objects": [{**SOURCE, "typename": name}, OWN]}) == ()


def test_missing_params(tmp_path: Path) -> None:
    """A job whose dependency failed has no parameters, and that is no problem."""
    problems = Problems()
    assert read_dependencies(str(tmp_path / "params.json"), problems) == ()
    assert not problems


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["objects", "id", "task", "identifier", "typename", "module", "type"]),
            inner,
            max_size=7,
        )
    ),
    max_leaves=20,
)


@given(objects=VALUES)
def test_any_shape(objects: object) -> None:
    """Parameters of any shape give jobs or nothing."""
    assert isinstance(dependencies_of({"objects": objects}), tuple)
