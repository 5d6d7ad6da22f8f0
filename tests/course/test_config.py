from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest

from course import config as configs
from course.errors import UserError


@dataclass(frozen=True)
class Inner:
    rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.95)
    kind: Literal["cosine", "wsd"] = "cosine"


@dataclass(frozen=True)
class Outer:
    path: Path
    inner: Inner = field(default_factory=Inner)
    steps: int = 10
    compile: bool | None = None
    names: tuple[str, ...] = ()


def test_a_saved_config_comes_back_equal(tmp_path):
    config = Outer(Path("a/b"), Inner(3e-5, (0.8, 0.999), "wsd"), 7, True, ("x", "y"))
    configs.save(config, tmp_path / "config.yaml")
    assert configs.load(Outer, tmp_path / "config.yaml") == config


def test_a_file_written_by_hand_may_leave_out_defaults_and_write_3e4(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("path: data\ninner:\n  rate: 3e-4\n")
    assert configs.load(Outer, file) == Outer(Path("data"), Inner(3e-4))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path: a\nstep: 3\n", "unknown field step"),
        ("path: a\ninner:\n  rte: 3\n", "unknown field inner.rte"),
        ("steps: 3\n", "lacks the field path"),
        ("path: a\nsteps: many\n", "steps is 'many'; it must be a whole number"),
        ("path: a\nsteps: 3.5\n", "steps is 3.5; it must be a whole number"),
        ("path: a\nsteps: true\n", "steps is True"),
        ("path: a\ncompile: maybe\n", "compile is 'maybe'; it must be true or false or null"),
        ("path: a\ninner:\n  kind: linear\n", "inner.kind is 'linear'; it must be one of 'cosine'"),
        ("path: a\ninner:\n  betas: [0.9]\n", "inner.betas is"),
        ("path: a\ninner: 3\n", "inner is 3; it must be a mapping"),
        ("- 1\n", "it must be a mapping"),
        ("path: [a\n", "is not YAML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, text, message):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as error:
        configs.load(Outer, file)
    assert message in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_differences_have_dotted_names():
    old = Outer(Path("a"))
    new = replace(old, steps=20, inner=replace(old.inner, rate=0.1))
    assert configs.differences(old, new) == {"inner.rate": (1e-3, 0.1), "steps": (10, 20)}
    assert configs.differences(old, old) == {}
