"""The guard: what a handout forbids is refused to a student's code, however it is reached."""

import importlib
import multiprocessing
import sys
import textwrap
import threading

import pytest
import torch

from course.grading.guard import ForbiddenError, ForbiddenImportError, Guard
from course.grading.guard.boundary import Boundary
from course.grading.rules import Rules

RULES = Rules(
    handout="assignment 1",
    functions=(
        "torch.nn.functional.*",
        "torch.ops.*",
        "torch.softmax",
        "torch.Tensor.softmax",
        "torch.nn.utils.clip_grad_norm_",
    ),
    classes={"torch.nn.Module": ("torch.nn.Sequential",), "torch.optim.Optimizer": ()},
    packages=("tiktoken",),
)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository with a reference, whose modules are forgotten in the end."""
    for package in ("assignment7_toy", "assignment7_toy/reference", "assignment6_toy/reference"):
        (tmp_path / package).mkdir(parents=True, exist_ok=True)
        (tmp_path / package / "__init__.py").write_text("")
        (tmp_path / package / "solution.py").write_text("def solve(): return 42\n")
    (tmp_path / "assignment6_toy" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [n for n in sys.modules if n.startswith(("assignment6_toy", "assignment7_toy"))]:
        del sys.modules[name]


@pytest.fixture
def guard(root):
    guard = Guard(RULES, root, reference_from=7)
    yield guard
    guard.close()


@pytest.fixture
def boundary(guard):
    return Boundary(guard)


def student(root, boundary, text: str, name: str = "mine"):
    """Import a module of the student's behind the guard."""
    (root / "assignment7_toy" / f"{name}.py").write_text(
        "import torch\nimport torch.nn.functional as F\n" + textwrap.dedent(text)
    )
    importlib.invalidate_caches()
    return boundary.call(importlib.import_module, f"assignment7_toy.{name}")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("return F.softmax(x, -1)", "torch.nn.functional.softmax"),
        ("from torch.nn.functional import softmax as s; return s(x, 0)", "functional.softmax"),
        ("return torch.nn.functional.scaled_dot_product_attention(x, x, x)", "scaled_dot_product"),
        ("return F.linear(x, x)", "torch.nn.functional.linear"),
        ("return torch.softmax(x, -1)", "torch.softmax"),
        ("return x.softmax(-1)", "torch.Tensor.softmax"),
        ("return (lambda f: f(x, -1))(getattr(F, 'soft' + 'max'))", "functional.softmax"),
        ("import functools; return functools.partial(F.silu)(x)", "functional.silu"),
        ("return list(map(F.relu, [x]))", "functional.relu"),
        ("return torch.ops.aten._softmax(x, -1, False)", "torch.ops"),
        ("p = torch.nn.Parameter(x); torch.nn.utils.clip_grad_norm_([p], 1.0)", "clip_grad_norm_"),
        ("return torch.nn.Linear(2, 2)", "torch.nn.Linear"),
        ("return torch.nn.Embedding.from_pretrained(x)", "torch.nn.Embedding"),
        ("return type('Mine', (torch.nn.Linear,), {})(2, 2)", "torch.nn.Linear"),
        ("return torch.optim.AdamW([torch.nn.Parameter(x)])", "torch.optim.AdamW"),
        ("import tiktoken", "the package tiktoken"),
        ("import importlib; importlib.import_module('tiktoken')", "the package tiktoken"),
        ("__import__('tiktoken')", "the package tiktoken"),
    ],
)
def test_forbidden(root, boundary, body, named):
    import tiktoken  # noqa: F401  imported already, as by the oracle of a test

    x = torch.eye(2)
    module = student(root, boundary, f"def solve(x):\n    {body}\n")
    with pytest.raises(ForbiddenError, match=f"^assignment 1 forbids .*{named}.*: write it yours"):
        boundary.call(module.solve, x)
    torch.nn.functional.softmax(torch.nn.Linear(2, 2)(x), -1)  # the tests may
    torch.nn.utils.clip_grad_norm_([torch.nn.Parameter(x)], 1.0)


@pytest.mark.parametrize(
    "returned",
    [
        "torch.optim.AdamW",
        "type('Mine', (torch.optim.AdamW,), {})",
        "functools.partial(torch.optim.AdamW, lr=1.0)",
    ],
)
def test_a_finished_class_is_not_handed_in_either(root, boundary, returned):
    """Its constructor runs later, called by a test."""
    module = student(root, boundary, f"import functools\ndef solve():\n    return {returned}\n")
    with pytest.raises(ForbiddenError, match=r"assignment 1 forbids torch\.optim\.AdamW"):
        boundary.call(module.solve)


def test_forbidden_at_import(root, boundary):
    with pytest.raises(ForbiddenError, match=r"forbids torch\.nn\.Linear"):
        student(root, boundary, "layer = torch.nn.Linear(2, 2)")
    module = student(
        root,
        boundary,
        """
        from torch.nn.utils import clip_grad_norm_
        def solve(p): clip_grad_norm_([p], 1.0)
        """,
        name="imported_early",
    )
    with pytest.raises(ForbiddenError, match="clip_grad_norm_"):
        boundary.call(module.solve, torch.nn.Parameter(torch.ones(2)))


def test_allowed(root, boundary):
    module = student(
        root,
        boundary,
        """
        class Mine(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = torch.nn.Parameter(torch.empty(2, 2))
                torch.nn.init.trunc_normal_(self.weight)

            def forward(self, x):
                return torch.einsum("ij,kj->ik", x, self.weight).sigmoid().logsumexp(-1)

        def solve(x):
            return torch.nn.Sequential(Mine())(x)
        """,
    )
    assert boundary.call(module.solve, torch.eye(2)).shape == (2,)


def test_a_fallback_for_a_forbidden_package_works(root, boundary):
    module = student(
        root,
        boundary,
        """
        try:
            import tiktoken
        except ImportError:
            tiktoken = None
        """,
    )
    assert module.tiktoken is None


def test_what_the_tests_pass_in_may_use_everything(root, boundary):
    module = student(
        root,
        boundary,
        """
        def solve(layer, make, x):
            return layer(x) + make()(x)
        """,
    )
    layer = torch.nn.Linear(2, 2)

    def make():
        import tiktoken  # noqa: F401

        return lambda x: torch.nn.functional.softmax(torch.nn.Linear(2, 2)(x), -1)

    # A callback counts as the tests' by its file, and here this file is none of root / "tests".
    boundary._guard.provenance._known[__file__] = False
    assert boundary.call(module.solve, layer, make, torch.eye(2)).shape == (2, 2)


def test_subclasses_do_not_borrow_forward(root, boundary):
    module = student(
        root,
        boundary,
        """
        class Mine(torch.nn.Linear):
            def __init__(self):
                torch.nn.Module.__init__(self)
                self.weight, self.bias = torch.nn.Parameter(torch.eye(2)), None
        def solve(x):
            return Mine()(x)
        """,
    )
    with pytest.raises(ForbiddenError, match=r"forbids torch\.nn\.Linear"):
        boundary.call(module.solve, torch.eye(2))


LATER = """
    class Optimizer(torch.optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {})

        def step(self):
            return torch.softmax(self.param_groups[0]["params"][0], -1)

    class Tokenizer:
        @classmethod
        def make(cls):
            return cls()

        def encode(self, text):
            return list(text)

        def stream(self, texts):
            for text in texts:
                yield len(text)
            import tiktoken

        @property
        def model(self):
            import tiktoken

    class Model(torch.nn.Module):
        def forward(self, x):
            return F.relu(x)

    def get_optimizer(): return Optimizer
    def get_tokenizer(): return Tokenizer.make()
    def get_model(): return torch.nn.Sequential(Model())
    def get_function(): return lambda x: F.relu(x)
    def get_stream(): return map(F.relu, [torch.ones(1)])
    def get_pair(): return Tokenizer(), 1
    """


def test_objects_stay_behind_the_guard(root, boundary):
    module = student(root, boundary, LATER)
    x = torch.nn.Parameter(torch.ones(2))

    optimizer = boundary.call(module.get_optimizer)([x])
    assert isinstance(optimizer, torch.optim.Optimizer)
    with pytest.raises(ForbiddenError, match=r"torch\.softmax"):
        optimizer.step()
    assert optimizer.state_dict()["param_groups"]

    with pytest.raises(ForbiddenError, match="relu"):
        boundary.call(module.get_model)(x)
    with pytest.raises(ForbiddenError, match="relu"):
        boundary.call(module.get_function)(x)
    with pytest.raises(ForbiddenError, match="relu"):
        next(boundary.call(module.get_stream))

    for tokenizer in (boundary.call(module.get_tokenizer), boundary.call(module.get_pair)[0]):
        assert tokenizer.encode("ab") == ["a", "b"]
        stream = tokenizer.stream(["a", "bc"])
        assert [next(stream), next(stream)] == [1, 2]
        with pytest.raises(ForbiddenImportError, match="tiktoken"):
            next(stream)
        with pytest.raises(ForbiddenImportError, match="tiktoken"):
            tokenizer.model  # noqa: B018


def test_generators_stay_lazy(root, boundary):
    module = student(root, boundary, "def solve(xs):\n    for x in xs: yield x + 1")
    read = []
    source = (read.append(x) or x for x in range(10))
    stream = boundary.call(module.solve, source)
    assert read == []
    assert [next(stream), next(stream)] == [1, 2]
    assert read == [0, 1]
    stream.close()


@pytest.mark.parametrize(
    "body",
    [
        "from assignment7_toy.reference.solution import solve as s; return s()",
        "from assignment7_toy.reference import solution; return solution.solve()",
        "from assignment7_toy import reference; return reference",
        "from .reference.solution import solve as s; return s()",
        "from . import reference; return reference",
        "import assignment7_toy.reference.solution as s; return s.solve()",
        "import importlib; return importlib.import_module('assignment7_toy.reference.solution')",
        "import importlib; return importlib.import_module('.reference', 'assignment7_toy')",
        "return exec(open(ROOT + '/assignment7_toy/reference/solution.py').read())",
        "import runpy; return runpy.run_path(ROOT + '/assignment7_toy/reference/solution.py')",
        "import pathlib; return pathlib.Path(ROOT, 'assignment7_toy/reference/solution.py')"
        ".read_text()",
    ],
)
@pytest.mark.parametrize("imported_before", [False, True])
def test_reference_is_refused(root, boundary, body, imported_before):
    if imported_before:
        importlib.import_module("assignment7_toy.reference.solution")
    module = student(root, boundary, f"ROOT = {str(root)!r}\ndef solve():\n    {body}\n")
    with pytest.raises(ForbiddenImportError, match="the reference does not count as yours"):
        boundary.call(module.solve)
    # The catalogue may be built from it, in the same process.
    assert importlib.import_module("assignment7_toy.reference.solution").solve() == 42


def test_copied_functions_of_the_reference_are_refused(root, guard):
    solution = importlib.import_module("assignment7_toy.reference.solution")
    with pytest.raises(ForbiddenImportError, match=r"assignment7_toy/reference/solution\.py"):
        guard.imports.refuse_reference_function(solution.solve)
    guard.imports.refuse_reference_function(len)
    guard.imports.refuse_reference_function(test_allowed)


def test_earlier_references_are_given_code(root, boundary):
    module = student(
        root,
        boundary,
        "def solve():\n    from assignment6_toy.reference.solution import solve as s; return s()",
    )
    assert boundary.call(module.solve) == 42


def test_tests_are_no_library(root, boundary):
    module = student(root, boundary, "def solve():\n    import tests.conftest")
    with pytest.raises(ForbiddenImportError, match=r"your code imports tests\.conftest"):
        boundary.call(module.solve)


POOL = """
    import multiprocessing
    from concurrent.futures import ThreadPoolExecutor

    def count(text):
        try:
            import tiktoken
        except ImportError as error:
            return f"{len(text)} {type(error).__name__}"
        return "not refused"

    class Trainer:
        def count(self, text):
            return count(text)

        def in_processes(self, texts):
            with multiprocessing.get_context("fork").Pool(2) as pool:
                return pool.map(self.count, texts)

        def in_threads(self, texts):
            with ThreadPoolExecutor(2) as pool:
                return list(pool.map(self.count, texts))

    def get_trainer(): return Trainer()
    """


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork")  # Python warns of any threads, torch has some
def test_pools(root, boundary):
    trainer = boundary.call(student(root, boundary, POOL).get_trainer)
    expected = ["1 ForbiddenImportError", "2 ForbiddenImportError"]
    assert trainer.in_processes(["a", "bc"]) == expected
    assert trainer.in_threads(["a", "bc"]) == expected


def test_other_threads_of_the_tests_are_not_watched(guard):
    results = []
    with guard:
        thread = threading.Thread(target=lambda: results.append(torch.ones(2).softmax(0)))
        thread.start()
        thread.join()
    assert len(results) == 1


def test_everything_is_put_back(root):
    import builtins

    before = (
        builtins.__import__,
        importlib.import_module,
        torch.nn.Module.__init__,
        torch.optim.Optimizer.__init__,
        torch.nn.utils.clip_grad_norm_,
    )
    guard = Guard(RULES, root, reference_from=7)
    with guard, guard:
        pass
    with pytest.raises(ZeroDivisionError), guard:
        raise ZeroDivisionError
    guard.close()
    after = (
        builtins.__import__,
        importlib.import_module,
        torch.nn.Module.__init__,
        torch.optim.Optimizer.__init__,
        torch.nn.utils.clip_grad_norm_,
    )
    assert after == before
