"""A fake monitor server for each test that wants one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support_tests.talk import Fake, Start


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start fake servers with a scenario given by keywords."""
    started = []

    def start_fake(**scenario: Any) -> Fake:
        file = tmp_path / "scenario.json"
        file.write_text(json.dumps(scenario))
        started.append(Fake(file))
        return started[-1]

    yield start_fake
    for fake in started:
        fake.close()
