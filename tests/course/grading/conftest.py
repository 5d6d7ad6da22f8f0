"""A small repository with one assignment, graded in a process of its own."""

import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]

FILES = {
    "pyproject.toml": """
        [tool.pytest.ini_options]
        testpaths = ["tests"]
        addopts = "-p course.grading.plugin --strict-markers"
        filterwarnings = ["error"]
        """,
    "assignment1_toy/__init__.py": "",
    "assignment1_toy/adapters.py": '''
        """Stubs."""

        def run_double(x):
            raise NotImplementedError

        def run_quadruple(x):
            raise NotImplementedError

        def get_counter(start):
            raise NotImplementedError
        ''',
    "assignment1_toy/reference/__init__.py": "",
    "assignment1_toy/reference/adapters.py": '''
        """The solution."""

        def run_double(x):
            return 2 * x

        def run_quadruple(x):
            return run_double(run_double(x))

        class Counter:
            def __init__(self, start):
                self.value = start

            def step(self):
                self.value += 1
                return self.value

        def get_counter(start):
            return Counter(start)
        ''',
    "assignment2_empty/__init__.py": "",
    "assignment2_empty/adapters.py": "",
    "tests/__init__.py": "",
    "tests/assignment1_toy/__init__.py": "",
    "tests/assignment1_toy/rules.py": """
        from course.grading.rules import Rules

        RULES = Rules(
            handout="assignment 1",
            problems=("double", "quadruple", "counter"),
            packages=("tokenizers",),
        )
        """,
    # Alphabetical order of the files is not that of the handout.
    "tests/assignment1_toy/test_a_counter.py": """
        import pytest
        from course.grading import check

        @pytest.mark.problem("counter", points=3)
        def test_steps(adapters):
            counter = adapters.get_counter(5)
            check.equal([counter.step(), counter.step()], [6, 7], what="two steps from 5")
        """,
    "tests/assignment1_toy/test_double.py": """
        import pytest
        from course.grading import check

        @pytest.mark.problem("double", points=1)
        @pytest.mark.parametrize("x", [0, 3])
        def test_integers(adapters, x):
            check.equal(adapters.run_double(x), 2 * x, what=f"twice {x}", hint="multiply by two")

        @pytest.mark.problem("double", points=1)
        def test_strings(adapters):
            check.equal(adapters.run_double("ab"), "abab", what="twice 'ab'")
        """,
    "tests/assignment1_toy/test_quadruple.py": """
        import pytest
        from course.grading import check

        pytestmark = pytest.mark.problem("quadruple", points=1, needs=["double"])

        @pytest.mark.problem(points=2)
        def test_quadruple(adapters):
            check.equal(adapters.run_quadruple(3), 12, what="four times 3")
        """,
    "tests/assignment1_toy/mistakes.py": """
        from course.grading.catalogue import mistake

        @mistake("double", "added instead of doubled", says="2 is a factor: x * 2")
        def added():
            return {"run_double": lambda x: x + 2 if x != "ab" else "abab"}

        @mistake("double", "squared", says="x * 2, not x ** 2")
        def squared():
            return {"run_double": lambda x: x * x if x != "ab" else "abab"}
        """,
    "tests/assignment1_toy/reference/__init__.py": "",
    "tests/assignment1_toy/reference/test_ungraded.py": """
        def test_never_for_students():
            from assignment1_toy.reference import adapters
        """,
}


@dataclass
class Run:
    """What a process printed, without colours, and its exit code."""

    code: int
    output: str

    def row(self, problem: str) -> str:
        """The line of the score table for a problem, single spaces between its words."""
        match = re.search(rf"^{problem} +\d.*$", self.output, re.MULTILINE)
        assert match, self.output
        return " ".join(match[0].split())


class Toy:
    """The repository; `write` changes a file, `pytest` grades."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))

    def stubs(self, text: str) -> None:
        """Replace functions of the student's adapters by those of `text`."""
        original = textwrap.dedent(FILES["assignment1_toy/adapters.py"])
        self.write("assignment1_toy/adapters.py", original + "\n" + textwrap.dedent(text))

    def pytest(self, *arguments: str, cwd: str = ".", typed: str | None = None) -> Run:
        environment = {
            **os.environ,
            # The toy's own packages, and `course` as it is here, not as it is installed.
            "PYTHONPATH": os.pathsep.join(map(str, (self.root, REPOSITORY))),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "100",
        }
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *arguments],
            cwd=self.root / cwd,
            env=environment,
            capture_output=True,
            text=True,
            input=typed,
            timeout=120,
            check=False,
        )
        return Run(done.returncode, done.stdout + done.stderr)


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path)
