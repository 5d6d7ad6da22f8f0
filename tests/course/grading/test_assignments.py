"""Every assignment that has graded tests: its points, marks, stubs and signatures."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

from course.grading.graded import KEY
from course.grading.rules import load_rules
from course.grading.suite import GradedSuite

ROOT = Path(__file__).parents[3]
ASSIGNMENTS = sorted({path.parent.name for path in ROOT.glob("tests/assignment*/test_*.py")})


@pytest.fixture(scope="module", params=ASSIGNMENTS)
def suite(request):
    suite = GradedSuite(ROOT, request.param)
    yield suite
    suite.close()


@pytest.fixture(scope="module")
def stubs(suite):
    return public_functions(importlib.import_module(f"{suite.assignment}.adapters"))


def public_functions(module):
    return {
        name: function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }


def test_points_sum_to_100(suite):
    points = {
        problem: sum(item.stash[KEY].points for item in items)
        for problem, items in suite.tests.items()
    }
    assert sum(points.values()) == pytest.approx(100), points
    assert min(points.values()) > 0, points


def test_every_test_is_graded(suite):
    assert [item.nodeid for item in suite.items if KEY not in item.stash] == []


def test_problems_are_those_of_the_handout(suite):
    assert sorted(suite.tests) == sorted(load_rules(suite.assignment).problems)


def test_needs_are_earlier_problems(suite):
    order = {name: place for place, name in enumerate(load_rules(suite.assignment).problems)}
    for problem, items in suite.tests.items():
        for item in items:
            for needed in item.stash[KEY].needs:
                assert order[needed] < order[problem], f"{item.nodeid} needs {needed}"


def test_every_adapter_is_exercised(suite, stubs):
    called = {
        node.attr
        for path in (ROOT / "tests" / suite.assignment).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    assert sorted(set(stubs) - called) == []


def test_graded_tests_import_no_reference(suite):
    """The expected value comes from an independent oracle."""
    for path in (ROOT / "tests" / suite.assignment).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom | ast.Import):
                names = [getattr(node, "module", "") or "", *(alias.name for alias in node.names)]
                assert not any("reference" in name.split(".") for name in names), path.name


def test_stubs_are_empty(stubs):
    """One statement, `raise NotImplementedError`, and a docstring that says what is wanted."""
    for name, function in stubs.items():
        assert function.__doc__, name
        (definition,) = ast.parse(inspect.getsource(function)).body
        _, body = definition.body
        assert ast.unparse(body) == "raise NotImplementedError", name


def test_reference_has_the_signatures_of_the_stubs(suite, stubs):
    reference = public_functions(importlib.import_module(f"{suite.assignment}.reference.adapters"))
    assert sorted(set(stubs) - set(reference)) == []
    for name, stub in stubs.items():
        theirs = inspect.signature(reference[name]).parameters.values()
        mine = inspect.signature(stub).parameters.values()
        assert [(p.name, p.kind, p.default) for p in theirs] == [
            (p.name, p.kind, p.default) for p in mine
        ], name
