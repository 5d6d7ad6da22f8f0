"""The handout and the front page: their commands can be read, their links lead somewhere."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from benchmarks.experiments import BATCHES, DATA, experiments, overview
from course import cli, sweep
from course.cli import COMMANDS, parse_options
from course.grading.rules import load_rules

ROOT = Path(__file__).parents[3]
HANDOUT = ROOT / "assignment1_basics" / "README.md"
PAGES = [HANDOUT, ROOT / "README.md"]
SCALES = list(BATCHES)


@cache
def commands(page: Path) -> list[str]:
    """What stands behind `uv run course` in the blocks of a page."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return re.findall(r"uv run course (.*)", "\n".join(blocks))


def parse(command: str) -> None:
    """Read a command's options without running it; of a sweep, those of every third point."""
    name, arguments = cli._split_command(shlex.split(command))
    assert name in COMMANDS, command
    module = cli.importlib.import_module(COMMANDS[name].module)
    parser = getattr(module, "parse", None)
    if parser is not None:
        options = parser(arguments, name)
    else:
        options = parse_options(module.Options, module.__doc__, arguments, name)
    if name == "sweep":
        for point in sweep.make_points(options)[::3]:
            parse(shlex.join(point.arguments))


@pytest.mark.parametrize("scale", SCALES)
def test_experiments_are_those_of_the_handout(scale):
    printed = commands(HANDOUT)
    for experiment in experiments(scale):
        asked = experiment.command()
        if experiment.name in ("base", "seeds", "position"):  # printed for one scale
            asked = asked.replace(scale, "small")
        assert asked in printed
    for command in DATA:
        assert command in printed


def test_batches_see_the_same_number_of_sequences():
    import yaml

    for scale in SCALES:
        path = ROOT / "assignment1_basics" / "configs" / f"{scale}.yaml"
        config = yaml.safe_load(path.read_text())
        sequences = {size * steps for size, steps in BATCHES[scale].items()}
        assert sequences == {config["batch_size"] * config["steps"]}


def test_overview_takes_the_best_finished_run():
    runs = [
        {"experiment": "rates", "options": {"learning-rate": rate}, "loss": loss,
         "bits_per_byte": loss and loss / 3, "diverged_after": None if loss else 90}
        for rate, loss in (("1e-3", 2.0), ("3e-3", 1.0), ("1e-2", None))
    ]  # fmt: skip
    (row,) = overview(runs, {"rates": 12.0})
    assert row["runs"] == 3
    assert row["diverged"] == 1
    assert row["best"] == "learning-rate 3e-3"
    assert row["held-out loss"] == "1.000"
    assert row["seconds"] == 12.0


@pytest.mark.parametrize("page", PAGES, ids=["handout", "front page"])
def test_commands_can_be_read(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert commands(page)
    for command in commands(page):
        parse(command)


@pytest.mark.parametrize("page", PAGES, ids=["handout", "front page"])
def test_commands_in_sentences_exist(page):
    text = page.read_text(encoding="utf-8")
    for words in re.findall(r"(?<!`)`(?:uv run )?course ([a-z][^`]*)`", text):
        name, _ = cli._split_command(words.split())
        assert name in COMMANDS, words


def anchor(heading: str) -> str:
    """GitHub's anchor of a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=["handout", "front page"])
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    anchors = {anchor(line.lstrip("#")) for line in text.splitlines() if line.startswith("#")}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, fragment = target.partition("#")
        if target.startswith("http"):
            continue
        if file:
            assert (page.parent / file).exists(), target
        else:
            assert fragment in anchors, target


def test_table_of_problems_is_that_of_the_grader():
    rows = re.findall(
        r"^\| `(\w+)` \| (\d+) \| (.*?) \|", HANDOUT.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {name for name, *_ in rows} == set(load_rules("assignment1_basics").problems)
    assert sum(int(points) for _, points, _ in rows) == 100
    tree = ast.parse((ROOT / "assignment1_basics" / "adapters.py").read_text(encoding="utf-8"))
    stubs = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {stub for *_, cell in rows for stub in re.findall(r"`(\w+)`", cell)} == stubs
