"""`pytest` and `pytest tests/...`: the references, with pytest's own output and a table."""

import json


def test_reference_by_default(toy):
    run = toy.pytest("--score-json", "results.json")
    assert run.code == 0
    assert run.row("total") == "total 7 / 7 3 of 3 problems pass"
    assert "assignment1_toy, the reference" in run.output
    assert "6 passed" in run.output, "the ungraded test too"
    assert json.loads((toy.root / "results.json").read_text())["score"] == 7


def test_one_assignment_and_one_file(toy):
    assert "6 passed" in toy.pytest("tests/assignment1_toy").output
    assert "3 passed" in toy.pytest("tests/assignment1_toy/test_double.py").output
    assert "3 passed" in toy.pytest("test_double.py", cwd="tests/assignment1_toy").output
    assert "1 passed" in toy.pytest("--problem", "counter").output


def test_failure_shows_the_trace(toy):
    toy.write("assignment1_toy/reference/adapters.py", "def run_double(x): return x\n")
    run = toy.pytest("tests/assignment1_toy")
    assert run.code == 1
    assert "def test_integers(adapters, x):" in run.output
    assert run.row("double") == "double 0.5 / 2 failed: twice 3"


def test_without_a_reference(toy):
    (toy.root / "assignment1_toy/reference/adapters.py").unlink()
    run = toy.pytest("tests/assignment1_toy/test_double.py")
    assert "assignment1_toy/reference/adapters.py does not exist; to grade yours" in run.output


def test_shapes_are_checked(toy):
    toy.write(
        "assignment1_toy/reference/doubling.py",
        """
        from jaxtyping import Float
        from numpy import ndarray

        def run_double(x: Float[ndarray, "n"]):
            return 2 * x
        """,
    )
    toy.write(
        "assignment1_toy/reference/adapters.py",
        "from assignment1_toy.reference.doubling import run_double\n",
    )
    run = toy.pytest("tests/assignment1_toy/test_double.py")
    assert "jaxtyping.TypeCheckError" in run.output
    # A student's annotations are not checked.
    toy.stubs("from jaxtyping import Float\ndef run_double(x: 'Float'): return 2 * x")
    assert toy.pytest("assignment1_toy").row("double") == "double 2 / 2 passed"


def test_warnings_are_errors(toy):
    toy.write(
        "assignment1_toy/reference/adapters.py",
        "import warnings\ndef run_double(x): warnings.warn('hm'); return 2 * x\n",
    )
    assert "UserWarning: hm" in toy.pytest("tests/assignment1_toy/test_double.py").output
