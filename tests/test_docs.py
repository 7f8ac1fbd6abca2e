"""The links of the documentation, and the names beside them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
PAGES = [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md")]


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    """Each relative link of a page leads to a file of the checkout, and to a heading of it."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


STEP = re.compile(r"^\d+\. \[`[\w/]+`\]\((\S+\.py)\): `([\w.]+)`\s", re.MULTILINE)
"""A step of a list of functions: the module's path and a name in it."""


def names_in(module: Path) -> set[str]:
    """Return the functions and classes of a module, and the methods of its classes after their class."""
    names = set()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            functions = (ast.FunctionDef, ast.AsyncFunctionDef)
            names |= {
                f"{node.name}.{each.name}" for each in node.body if isinstance(each, functions)
            }
    return names


def test_ways_through_the_code() -> None:
    """Each step of the lists names a function, method or class of its module; no list is longer than it may be."""
    page = CHECKOUT / "docs" / "architecture.md"
    ways = page.read_text().split("## Two ways through the code")[1].split("## Measured")[0]
    steps = STEP.findall(ways)
    assert len(steps) == len(re.findall(r"^\d+\.", ways, re.MULTILINE)) == 20 + 22
    wrong = [step for step in steps if step[1] not in names_in((page.parent / step[0]).resolve())]
    assert not wrong


@pytest.mark.parametrize("name", ["safety.md", "hosts.md"])
def test_claims_name_their_tests(name: str) -> None:
    """Each line of the tables of what is claimed names tests, and these exist."""
    page = (CHECKOUT / "docs" / name).read_text()
    lines = [line for line in page.splitlines() if re.match(r"\| (?!---)", line)]
    lines = [line for line in lines if not line.endswith(" tests |")]
    assert lines
    for line in lines:
        named = re.findall(r"`(tests/[\w/]+\.py)::([\w.]+)`", line)
        assert named, line
        wrong = [f"{file}::{test}" for file, test in named if test not in names_in(CHECKOUT / file)]
        assert not wrong
