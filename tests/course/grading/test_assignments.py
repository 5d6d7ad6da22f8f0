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
    """The stubs by name; where a student has filled them in they are the student's business."""
    source = ast.parse((ROOT / suite.assignment / "adapters.py").read_text())
    definitions = [node for node in source.body if isinstance(node, ast.FunctionDef)]
    if any(ast.unparse(node.body[-1]) != "raise NotImplementedError" for node in definitions):
        pytest.skip("the stubs are filled in")
    module = importlib.import_module(f"{suite.assignment}.adapters")
    return {node.name: getattr(module, node.name) for node in definitions}


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


def test_stubs_say_what_is_wanted(stubs):
    assert [name for name, function in stubs.items() if not function.__doc__] == []


def test_reference_has_the_signatures_of_the_stubs(suite, stubs):
    reference = importlib.import_module(f"{suite.assignment}.reference.adapters")
    for name, stub in stubs.items():
        assert signature(getattr(reference, name)) == signature(stub), name


def signature(function):
    parameters = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default) for each in parameters]
