"""A student's code in the grader's process: it cannot end it, nor bend it for the tests after."""


def test_a_student_cannot_end_the_grader_without_a_word(toy):
    toy.stubs("import os\ndef run_double(x): os._exit(0)")
    run = toy.pytest("assignment1_toy")
    assert run.code == 1
    assert "run_double raises SystemExit: os._exit(0) would end the grader" in run.row("double")
    toy.write("assignment1_toy/adapters.py", "import os\nos._exit(0)\n")
    assert "line 2: SystemExit: os._exit(0) would end" in toy.pytest("assignment1_toy").output


def test_processes_of_a_student_end_as_they_do(toy):
    toy.stubs(
        """
        import multiprocessing

        def half(x):
            return x

        def run_double(x):
            with multiprocessing.get_context("fork").Pool(2) as pool:
                first, second = pool.map(half, [x, x])
            return first + second
        """
    )
    assert toy.pytest("assignment1_toy").row("double") == "double 2 / 2 passed"


def test_importing_leaves_the_switches_alone(toy):
    toy.stubs("import torch\ntorch.set_grad_enabled(False)\ndef run_double(x): return 2 * x")
    run = toy.pytest("assignment1_toy")
    assert (
        "Nothing can be graded:\n  importing assignment1_toy/adapters.py leaves "
        "torch.set_grad_enabled(False) behind, for the whole process" in run.output
    )


def test_exceptions_without_a_text_show_their_line(toy):
    toy.stubs("def run_double(x):\n    assert x == 7\n    return 2 * x")
    row = toy.pytest("assignment1_toy").row("double")
    assert row.endswith("failed: run_double raises AssertionError: assert x == 7")


def test_a_debugger_waits_for_its_student(toy):
    toy.stubs(
        """
        import time

        def run_double(x):
            breakpoint()
            time.sleep(0.8)  # a person who thinks
            return 2 * x
        """
    )
    run = toy.pytest(
        "assignment1_toy", "--problem", "double", "--time-limit", "0.5", typed="c\n" * 9
    )
    assert run.row("double") == "double 2 / 2 passed"


def test_what_is_changed_in_place_is_said(toy):
    toy.write(
        "tests/assignment1_toy/test_double.py",
        """
        import pytest
        import torch
        from course.grading import check

        @pytest.mark.problem("double", points=1)
        def test_double(adapters):
            x = torch.ones(2)
            check.close(adapters.run_double(x), 2 * x, what="twice 1")
        """,
    )
    toy.stubs("def run_double(x): return x.mul_(2)")
    row = toy.pytest("assignment1_toy", "--problem", "double").row("double")
    assert row == "double 0 / 1 failed: twice 1; run_double changes x in place"
