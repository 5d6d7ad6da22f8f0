"""`course demo`, with little text and few steps: what it leaves, what it reuses, how it goes on."""

import json

import pytest

from assignment1_basics.reference.commands import demo, demo_report, demo_training
from assignment1_basics.reference.commands.demo import Options, run
from assignment1_basics.reference.commands.demo_stages import Stages
from course.corpus import parallel
from course.errors import UserError


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(demo, "CORPUS_BYTES", 120_000)
    monkeypatch.setattr(demo, "SAMPLE_TOKENS", 8)
    monkeypatch.setattr(demo, "CONTEXT", {"stories": 32})
    monkeypatch.setattr(parallel, "MAX_PROCESSES", 1)
    monkeypatch.setattr(demo_training, "VOCAB_SIZE", 400)
    monkeypatch.setattr(demo_training, "TOKENS_PER_STEP", 256)
    monkeypatch.setattr(demo_training, "_TIMED", 1)


def options(folder, **changes):
    return Options(**{"corpus": "stories", "steps": 12, "runs": folder, **changes})


def test_everything_is_made_then_reused_then_continued(small, tmp_path, capsys, monkeypatch):
    run(options(tmp_path))
    printed = capsys.readouterr().out
    assert "[6/6]" in printed
    assert "unchanged" not in printed
    folder = tmp_path / "demo"
    scores = json.loads((folder / "scores.json").read_text())
    assert list(scores)[:3] == ["gzip -9", "xz -9e", "order-5 byte n-gram"]
    assert all(0 < bits < 9 for bits in scores.values())
    report = (folder / "report.md").read_text()
    assert "| xz -9e " in report
    assert "> Once upon a time" in report
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    for name in ("config.yaml", "metrics.jsonl", "tokenizer.json", "checkpoints"):
        assert (folder / "model" / name).exists(), name
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}

    run(options(tmp_path))
    assert capsys.readouterr().out.count("unchanged") == 6
    assert before == {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}

    # Other steps: only the training and what follows are done again.
    run(options(tmp_path, steps=8))
    assert capsys.readouterr().out.count("unchanged") == 4

    # Interrupted in the middle, the next one goes on with the same plan.
    with monkeypatch.context() as patch:
        steps = iter(range(5))
        take_step = demo_training.TrainStep.__call__

        def interrupted(self, *arguments):
            if next(steps, None) is None:
                raise KeyboardInterrupt
            return take_step(self, *arguments)

        patch.setattr(demo_training, "step_seconds", lambda *way: 0.01)
        patch.setattr(demo_training.TrainStep, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(options(tmp_path, steps=9))
    capsys.readouterr()
    run(options(tmp_path, steps=9))
    printed = capsys.readouterr().out
    assert printed.count("unchanged") == 4
    assert "going on with the 9 steps" in printed
    assert scores.keys() == json.loads((folder / "scores.json").read_text()).keys()


def test_plan_takes_the_fastest_way_and_fits_the_time(monkeypatch):
    times = {("fp32", 4): 0.05, ("bf16", 4): 0.04, ("bf16", 2): 0.02, ("bf16", 1): 0.03}
    times |= {("fp32", 1): 0.06, ("fp32", 2): 0.05}
    monkeypatch.setattr(demo_training, "step_seconds", lambda _, *way: times[way])
    monkeypatch.setattr(demo_training.torch, "get_num_threads", lambda: 4)
    recipe = demo_training.training_config("a", "b", "c", 128, 0)
    plan = demo_training.plan(recipe, 100.0, None)
    assert (plan.config.precision, plan.threads) == ("bf16", 2)
    assert plan.config.steps == int(100 / 0.02 / (1 + demo_training.OVERHEAD))
    assert "fp32 x4 50 ms, bf16 x4 40 ms" in plan.why
    assert demo_training.plan(recipe, -5.0, None).config.steps == demo_training.MIN_STEPS
    assert demo_training.plan(recipe, 100.0, 7).config.steps == 7
    assert plan.config.learning_rate(plan.config.steps) == 0


def test_a_stage_runs_again_when_something_before_it_changed(tmp_path, capsys):
    done = []

    def go(first, second):
        stages = Stages(tmp_path, 2)
        for name, value in (("one", first), ("two", second)):
            output = tmp_path / name

            def work(key, name=name, output=output):
                done.append(name)
                output.write_text(key)
                return {"value": name}

            assert stages.run(name, "heading", {"value": value}, [output], work) == {"value": name}

    for first, second, expected in (
        (1, 1, ["one", "two"]),
        (1, 1, []),
        (1, 2, ["two"]),
        (2, 2, ["one", "two"]),
    ):
        done.clear()
        go(first, second)
        assert done == expected
    (tmp_path / "one").unlink()
    done.clear()
    go(2, 2)
    assert done == ["one"]
    (tmp_path / "stages.json").write_text("{")
    go(2, 2)
    assert done == ["one", "one", "two"]


def test_table():
    text = demo_report.table({"gzip": 2.5, "ours": 2.0}, "ours")
    assert text.splitlines()[2:] == [
        "| gzip |         2.500 |                -20.0% |",
        "| ours |         2.000 |                       |",
    ]


def test_yardsticks_see_the_same_text(tmp_path):
    train, valid = tmp_path / "train", tmp_path / "valid"
    train.write_bytes(b"the cat sat on the mat and looked at the dog. " * 50)
    valid.write_bytes(b"the dog sat on the mat and looked at the cat. " * 5)
    scores = demo_report.yardsticks(train, valid)
    assert 0 < scores[demo_report.NGRAM] < scores[demo_report.XZ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minutes": 0}, "minutes is 0; it must be above 0"),
        ({"steps": 0}, "steps is 0; it must be at least 1"),
    ],
)
def test_bad_options(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        run(options(tmp_path, **changes))


def test_name_of_a_file(tmp_path):
    (tmp_path / "demo").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        run(options(tmp_path))
