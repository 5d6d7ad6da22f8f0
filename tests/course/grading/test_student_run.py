"""`pytest assignment1_toy`: a student's stubs, graded by the tests of the reference."""

import json

import pytest

RIGHT = """
    def run_double(x):
        return x + x

    def run_quadruple(x):
        return 4 * x

    class Counter:
        def __init__(self, start):
            self.value = start

        def step(self):
            self.value += 1
            return self.value

    def get_counter(start):
        return Counter(start)
    """


def test_fresh_stubs(toy):
    run = toy.pytest("assignment1_toy", "--score-json", "results.json")
    assert run.code == 1
    assert run.row("double") == "double 0 / 2 not started"
    assert run.row("total") == "total 0 / 7 0 of 3 problems pass"
    problems = ["double", "quadruple", "counter"]
    lines = [line.split()[0] for line in run.output.splitlines() if "/" in line and " 0 " in line]
    assert lines == [*problems, "total"], "the order is the handout's"
    assert "Traceback" not in run.output
    assert len(run.output.splitlines()) < 12
    results = json.loads((toy.root / "results.json").read_text())
    assert results["score"] == 0
    assert [(t["name"], t["score"], t["max_score"], t["status"]) for t in results["tests"]] == [
        ("double", 0, 2, "failed"),
        ("quadruple", 0, 2, "failed"),
        ("counter", 0, 3, "failed"),
    ]
    assert {t["output"] for t in results["tests"]} == {"not started"}
    assert {t["visibility"] for t in results["tests"]} == {"visible"}


@pytest.mark.parametrize(
    ("arguments", "cwd"),
    [
        (["assignment1_toy"], "."),
        ([], "assignment1_toy"),
        (["../assignment1_toy/"], "tests"),
        (["assignment1_toy/adapters.py"], "."),
    ],
    ids=["by name", "inside", "from elsewhere", "by file"],
)
def test_full_marks(toy, arguments, cwd):
    toy.stubs(RIGHT)
    run = toy.pytest(*arguments, cwd=cwd)
    assert run.code == 0, run.output
    assert run.row("total") == "total 7 / 7 3 of 3 problems pass"
    assert "test_ungraded" not in run.output
    assert "5 passed" in run.output


def test_failure_teaches(toy):
    toy.stubs(
        """
        def run_double(x):
            print("debugging", x)
            return x * x if x != "ab" else "abab"

        def run_quadruple(x):
            return run_double(run_double(x))
        """
    )
    run = toy.pytest("assignment1_toy", "--score-json", "results.json")
    assert run.code == 1
    assert run.row("double") == "double 1.5 / 2 failed: squared"
    assert run.row("quadruple") == "quadruple 0 / 2 blocked by double"
    block = run.output[run.output.index("double: 1.5 of 2 points") :]
    for line in (
        "twice 3",
        "This is what you get with 'squared': x * 2, not x ** 2",
        "input         run_double(x=3)",
        "received      9",
        "expected      6",
        "printed       debugging 3",
        "test          tests/assignment1_toy/test_double.py::test_integers[3]",
    ):
        assert line in block
    assert "four times 3" not in run.output, "a blocked problem explains nothing"
    assert "def test_" not in run.output
    results = json.loads((toy.root / "results.json").read_text())
    assert results["score"] == 1.5
    assert "squared" in results["tests"][0]["output"]
    assert results["tests"][1]["output"] == "blocked by double"


def test_hint_where_no_mistake_is_recognised(toy):
    toy.stubs("def run_double(x): return [x]")
    run = toy.pytest("assignment1_toy", "--problem", "double")
    assert "multiply by two" in run.output
    assert "what you get" not in run.output
    assert "also failing  test_integers, test_strings" in run.output
    assert run.row("double") == "double 0 / 2 failed: twice 0"


def test_trace_on_demand(toy):
    toy.stubs("def run_double(x): return [][x]")
    quiet = toy.pytest("assignment1_toy")
    assert "run_double raises IndexError: list index out of range" in quiet.output
    assert "your line     assignment1_toy/adapters.py:12: def run_double(x): re" in quiet.output
    assert "def test_integers(adapters, x):" not in quiet.output
    for option in ("-vv", "--full-trace", "--tb=short"):
        assert "check.equal(adapters.run_double(x)" in toy.pytest("assignment1_toy", option).output


def test_what_raises_later_is_named(toy):
    toy.stubs(
        """
        def get_counter(start):
            class Counter:
                def step(self):
                    return self.value
            return Counter()
        """
    )
    row = toy.pytest("assignment1_toy").row("counter")
    assert "failed: Counter.step raises AttributeError: 'Counter' object has no" in row


def test_returning_nothing(toy):
    toy.stubs("def run_double(x): x + x\ndef get_counter(start): pass")
    run = toy.pytest("assignment1_toy")
    assert "the result is None: is a `return` missing?" in run.output
    assert run.row("counter").endswith("failed: get_counter returns None: is a `return` missing?")


def test_other_signature(toy):
    toy.stubs("def run_double(): return 0")
    run = toy.pytest("assignment1_toy")
    assert "run_double cannot be called: run_double() takes 0 positional" in run.row("double")


def test_deleted_stub(toy):
    toy.write(
        "assignment1_toy/adapters.py",
        "def run_quadruple(x): return 4 * x\ndef get_counter(start): return 1\n",
    )
    run = toy.pytest("assignment1_toy")
    assert run.row("quadruple") == "quadruple 2 / 2 passed"
    assert "assignment1_toy/adapters.py has no function run_double" in run.row("double")
    assert "Nothing can be graded" not in run.output
    assert "counter: 0 of 3 points" in run.output, "what failed besides has its block, too"


def test_long_output_is_cut(toy):
    toy.stubs("def run_double(x):\n    print('x' * 100_000)\n    return x")
    run = toy.pytest("assignment1_toy", "--problem", "double")
    assert "printed       xxxxxxxxxx" in run.output
    assert len(run.output) < 10_000


def test_a_module_of_ones_own_by_its_bare_name(toy):
    toy.write("assignment1_toy/mine.py", "def double(x): return 2 * x\n")
    toy.stubs("def run_double(x):\n    from mine import double\n    return double(x)")
    run = toy.pytest("assignment1_toy")
    assert "No module named 'mine'; import it as assignment1_toy.mine" in run.row("double")
    toy.write("assignment1_toy/adapters.py", "import mine\n")
    assert "import it as assignment1_toy.mine" in toy.pytest("assignment1_toy").output


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def broken(:", "cannot import assignment1_toy/adapters.py, line 1: SyntaxError: invalid"),
        ("import nothing_like_it", "line 1: ModuleNotFoundError: No module named 'nothing_like_"),
        ("1 / 0", "cannot import assignment1_toy/adapters.py, line 1: ZeroDivisionError"),
        ("raise SystemExit(0)", "adapters.py, line 1: SystemExit: 0"),
    ],
)
def test_adapters_that_cannot_be_imported(toy, text, reason):
    toy.write("assignment1_toy/adapters.py", text + "\n")
    run = toy.pytest("assignment1_toy")
    assert run.code == 1
    assert (
        f"Nothing can be graded:\n  {'' if reason.startswith('cannot') else 'cannot'}" in run.output
    )
    assert reason in run.output
    for problem in ("double", "quadruple", "counter"):
        assert f"{problem} 0 / " in run.row(problem)
        assert "failed: cannot import assignment1_toy/adapters.py" in run.row(problem)
    assert "Traceback" not in run.output


def test_stub_that_calls_an_open_stub(toy):
    toy.stubs("def run_quadruple(x): return run_double(run_double(x))")
    assert toy.pytest("assignment1_toy").row("quadruple") == "quadruple 0 / 2 blocked by double"
    alone = toy.pytest("assignment1_toy", "--problem", "quadruple")
    assert "not started: run_double raises NotImplementedError" in alone.row("quadruple")


def test_endless_loop(toy):
    toy.stubs(
        """
        class Counter:
            def step(self):
                while True:
                    try:
                        pass
                    except Exception:
                        pass

        def get_counter(start):
            return Counter()
        """
    )
    run = toy.pytest("assignment1_toy", "--time-limit", "0.5")
    assert "failed: took longer than 0.5 s" in run.row("counter")
    assert "stopped at    assignment1_toy/adapters.py:" in run.output


def test_warnings_of_a_student_are_no_errors(toy):
    toy.stubs("import warnings\ndef run_double(x): warnings.warn('hm'); return 2 * x")
    run = toy.pytest("assignment1_toy")
    assert run.row("double") == "double 2 / 2 passed"


def test_skip_earns_nothing(toy):
    toy.stubs(RIGHT)
    toy.write(
        "tests/assignment1_toy/test_a_counter.py",
        """
        import pytest

        @pytest.mark.problem("counter", points=3)
        def test_steps(adapters):
            pytest.skip("no GPU here")
        """,
    )
    run = toy.pytest("assignment1_toy")
    assert run.code == 1, "not full marks"
    assert run.row("counter") == "counter 0 / 3 skipped, earns nothing: no GPU here"
    assert run.row("total") == "total 4 / 7 2 of 3 problems pass"
    assert toy.pytest().code == 0, "but no failure of the reference"


def test_selection(toy):
    toy.stubs(RIGHT)
    one = toy.pytest("assignment1_toy", "--problem", "counter")
    assert one.code == 0
    assert one.row("total") == "total 3 / 3 1 of 1 problems pass (a part was selected)"
    by_word = toy.pytest("-k", "double", cwd="assignment1_toy")
    assert "3 passed, 2 deselected" in by_word.output
    assert toy.pytest("assignment1_toy", "-k", "nothing_of_this_name").code == 5


def test_stop_at_the_first_failure(toy):
    run = toy.pytest("assignment1_toy", "-x", "--score-json", "results.json")
    assert run.code == 1
    assert run.row("counter") == "counter 0 / 3 1 of 1 tests not run"
    results = json.loads((toy.root / "results.json").read_text())
    assert sum(test["max_score"] for test in results["tests"]) == 7


def test_collect_only_imports_nothing(toy):
    toy.write("assignment1_toy/adapters.py", "print('imported')\n")
    run = toy.pytest("assignment1_toy", "--collect-only", "-q")
    assert run.code == 0
    assert "test_double.py::test_integers[3]" in run.output
    assert "imported" not in run.output
    assert "total" not in run.output


def test_last_failed(toy):
    toy.stubs(RIGHT.replace("x + x", "x"))
    toy.pytest("assignment1_toy")
    run = toy.pytest("assignment1_toy", "--lf")
    assert run.row("double").startswith("double 0.5 / 1") or run.row("double").startswith(
        "double 0 /"
    )
    assert "counter" not in run.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["assignment2_empty"], "assignment2_empty has no graded tests yet"),
        (["assignment1_toy", "--problem", "duble"], "--problem duble: there is none; did you mean"),
        (["assignment1_toy", "--problem", "x"], "there is none; there are counter, double, quadru"),
        (["assignment1_toy", "--score-json", "tests"], "--score-json 'tests' is a folder"),
        (["assignment1_toy", "tests/assignment1_toy"], "cannot be graded together with tests/"),
    ],
)
def test_usage_errors_are_one_line(toy, arguments, message):
    run = toy.pytest(*arguments)
    assert run.code == 4
    assert message in run.output
    assert len(run.output.strip().splitlines()) <= 3, run.output


def test_a_process_that_dies_leaves_no_score(toy):
    toy.stubs("import os\ndef run_double(x): os.kill(os.getpid(), 9)")
    toy.write("results.json", '{"score": 7}')
    toy.pytest("assignment1_toy", "--score-json", "results.json")
    results = json.loads((toy.root / "results.json").read_text())
    assert results["score"] == 0
    assert results["output"] == "the grader was ended before it was done"


def test_nothing_to_grade_still_writes_a_result(toy):
    toy.write("tests/assignment1_toy/test_double.py", "import nothing_like_it\n")
    toy.pytest("assignment1_toy", "--score-json", "results.json")
    assert json.loads((toy.root / "results.json").read_text())["score"] == 0
