"""The catalogue: how it is written and loaded, and the proof that the suite does its work."""

import pytest

# What a test of mistakes looks like; the assignments' own are a little longer.
META_TESTS = """
    import pytest

    from course.grading.catalogue import load_alternatives, load_mistakes
    from course.grading.suite import GradedSuite

    @pytest.fixture(scope="session")
    def suite(request):
        suite = GradedSuite(request.config.rootpath, "assignment1_toy")
        yield suite
        suite.close()

    @pytest.mark.parametrize("mistake", load_mistakes("assignment1_toy"), ids=lambda m: m.title)
    def test_mistake(suite, mistake):
        assert suite.first_failure(mistake), "the suite passes it"
        assert [m.title for m in suite.recognise(mistake).mistakes] == [mistake.title]

    @pytest.mark.parametrize("right", load_alternatives("assignment1_toy"), ids=lambda a: a.title)
    def test_alternative(suite, right):
        assert [str(outcome.failure.reason) for outcome in suite.failures(right)] == []
    """


@pytest.fixture
def toy_with_meta_tests(toy):
    toy.write("tests/assignment1_toy/reference/test_meta.py", META_TESTS)
    return toy


def test_mistakes_fail_and_are_named(toy_with_meta_tests):
    run = toy_with_meta_tests.pytest("tests/assignment1_toy/reference/test_meta.py", "-v")
    assert "test_mistake[added instead of doubled] PASSED" in run.output
    assert "test_mistake[squared] PASSED" in run.output
    assert run.code == 0


def test_weak_suites_and_equal_mistakes_are_found(toy_with_meta_tests):
    toy_with_meta_tests.write(
        "tests/assignment1_toy/mistakes.py",
        """
        from course.grading.catalogue import mistake

        @mistake("double", "wrong for 7 only", says="no test tries 7")
        def seven():
            return {"run_double": lambda x: 2 * x if x != 7 else 0}

        @mistake("double", "squared", says="x * 2")
        def squared():
            return {"run_double": lambda x: x * x if x != "ab" else "abab"}

        @mistake("double", "squared by a power", says="x * 2")
        def power():
            return {"run_double": lambda x: x**2 if x != "ab" else "abab"}
        """,
    )
    run = toy_with_meta_tests.pytest("tests/assignment1_toy/reference/test_meta.py", "-vv")
    assert run.code == 1
    assert "the suite passes it" in run.output
    assert "['squared', 'squared by a power'] == ['squared']" in run.output
    assert "3 failed" in run.output


def test_right_answers_pass_behind_the_guard(toy_with_meta_tests):
    toy_with_meta_tests.write(
        "tests/assignment1_toy/alternatives.py",
        """
        from course.grading.catalogue import alternative

        @alternative("double", "added to itself")
        def added():
            return {"run_double": lambda x: x + x}

        def with_help(x):
            import tokenizers
            return 2 * x

        @alternative("double", "with what is forbidden")
        def forbidden():
            return {"run_double": with_help}

        @alternative("counter", "a closure")
        def closure():
            class Counter:
                def __init__(self, start):
                    numbers = iter(range(start + 1, 10**6))
                    self.step = lambda: next(numbers)
            return {"get_counter": Counter}
        """,
    )
    run = toy_with_meta_tests.pytest("tests/assignment1_toy/reference/test_meta.py")
    assert "1 failed, 4 passed" in run.output
    assert "assignment 1 forbids the package tokenizers: write it yourself" in run.output


def test_entries_are_found_in_modules_packages_and_lists(toy):
    (toy.root / "tests/assignment1_toy/mistakes.py").unlink()
    toy.write("tests/assignment1_toy/mistakes/__init__.py", "")
    for name, title in (("b", "second"), ("a", "first")):
        toy.write(
            f"tests/assignment1_toy/mistakes/{name}.py",
            f"""
            from course.grading.catalogue import mistake

            one = mistake("double", "{title}", says="-")(dict)
            MORE = [one, mistake("double", "{title} in a list", says="-")(dict)]
            """,
        )
    toy.write(
        "test_loading.py",
        """
        from course.grading.catalogue import load_alternatives, load_mistakes

        def test_loading():
            titles = [m.title for m in load_mistakes("assignment1_toy")]
            assert titles == ["first", "first in a list", "second", "second in a list"]
            assert load_alternatives("assignment1_toy") == []
            assert load_mistakes("assignment2_empty") == []
        """,
    )
    assert toy.pytest("test_loading.py").code == 0


def test_a_broken_catalogue_is_not_silently_empty(toy):
    toy.write("tests/assignment1_toy/mistakes.py", "import nothing_like_it\n")
    toy.write(
        "test_loading.py",
        """
        import pytest
        from course.grading.catalogue import load_mistakes

        def test_loading():
            with pytest.raises(ModuleNotFoundError):
                load_mistakes("assignment1_toy")
        """,
    )
    assert toy.pytest("test_loading.py").code == 0
    # A student's grading does without: only the names are missing.
    toy.stubs("def run_double(x): return x * x")
    assert "failed: twice 3" in toy.pytest("assignment1_toy").row("double")


def test_mistakes_are_recognised_without_the_reference(toy):
    (toy.root / "assignment1_toy/reference/adapters.py").unlink()
    toy.stubs("def run_double(x): return x * x if x != 'ab' else 'abab'")
    assert toy.pytest("assignment1_toy").row("double") == "double 1.5 / 2 failed: squared"


def test_slow_mistakes_do_not_hold_up_grading(toy):
    toy.write(
        "tests/assignment1_toy/mistakes.py",
        """
        from course.grading.catalogue import mistake

        @mistake("double", "endless", says="-")
        def endless():
            def run_double(x):
                while True: pass
            return {"run_double": run_double}

        @mistake("double", "squared", says="-")
        def squared():
            return {"run_double": lambda x: x * x}
        """,
    )
    toy.stubs("def run_double(x): return x * x if x != 'ab' else 'abab'")
    assert toy.pytest("assignment1_toy").row("double") == "double 1.5 / 2 failed: squared"


def test_mistakes_that_raise_are_recognised(toy):
    toy.write(
        "tests/assignment1_toy/mistakes.py",
        """
        from course.grading.catalogue import mistake

        @mistake("double", "int() of everything", says="strings can be doubled too")
        def number():
            return {"run_double": lambda x: 2 * int(x)}

        @mistake("double", "float() of everything", says="strings can be doubled too")
        def real():
            return {"run_double": lambda x: 2 * float(x)}
        """,
    )
    toy.stubs("def run_double(x): return int(x) + int(x)")
    run = toy.pytest("assignment1_toy")
    assert run.row("double") == "double 1 / 2 failed: int() of everything"
    assert (
        "run_double raises ValueError: invalid literal for int() with base 10: 'ab'" in run.output
    )
