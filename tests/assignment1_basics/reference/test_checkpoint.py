import errno
import io
import os
import pickle
import random

import numpy as np
import pytest
import torch
from torch import nn

from assignment1_basics.reference import checkpoint_folder
from assignment1_basics.reference.checkpoint import (
    DamagedCheckpointError,
    load_checkpoint,
    read_verified,
    save_checkpoint,
    write_verified,
)
from assignment1_basics.reference.checkpoint_folder import (
    CheckpointFolder,
    load_model,
    random_states,
    set_random_states,
)
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.transformer import Transformer
from assignment1_basics.reference.optimizer.adamw import AdamW
from course import config as configs
from course.errors import UserError

STATE = {"step": 3, "model": {"w": torch.arange(100.0)}, "config": {"rate": 1e-3, "names": ["a"]}}


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "step.pt"
    write_verified(STATE, path)
    return path


def assert_is_state(state):
    assert state["step"] == 3
    assert torch.equal(state["model"]["w"], STATE["model"]["w"])
    assert state["config"] == STATE["config"]


@pytest.mark.parametrize("kind", ["path", "file"])
def test_the_pair_of_the_handout(tmp_path, kind):
    def step(model, optimizer):
        optimizer.zero_grad()
        model(torch.ones(2, 3)).square().sum().backward()
        optimizer.step()

    model = nn.Linear(3, 2)
    optimizer = AdamW(model.parameters(), lr=0.1)
    step(model, optimizer)
    target = tmp_path / "folder" / "a.pt" if kind == "path" else io.BytesIO()
    save_checkpoint(model, optimizer, 17, target)
    step(model, optimizer)
    if kind == "file":
        target.seek(0)
    again = nn.Linear(3, 2)
    its_optimizer = AdamW(again.parameters(), lr=0.5)
    assert load_checkpoint(target, again, its_optimizer) == 17
    step(again, its_optimizer)
    assert torch.equal(model.weight, again.weight)


def test_a_verified_file_loads_as_any_other(checkpoint):
    assert_is_state(read_verified(checkpoint))
    assert_is_state(torch.load(checkpoint, weights_only=True))


def test_truncated_anywhere_it_is_refused(checkpoint, tmp_path):
    content = checkpoint.read_bytes()
    bad = tmp_path / "bad.pt"
    for length in {0, 1, 21, 22, 71, 92, 93, len(content) - 1, *range(0, len(content), 97)}:
        bad.write_bytes(content[:length])
        with pytest.raises(DamagedCheckpointError, match=r"bad.pt' is truncated or damaged"):
            read_verified(bad)


def test_any_byte_changed_is_noticed(checkpoint, tmp_path):
    content = checkpoint.read_bytes()
    bad = tmp_path / "bad.pt"
    picked = random.Random(0).sample(range(len(content)), 300)
    for position in {*picked, *range(len(content) - 100, len(content))}:
        changed = bytearray(content)
        changed[position] ^= 1 << (position % 8)
        bad.write_bytes(changed)
        with pytest.raises(DamagedCheckpointError) as error:
            read_verified(bad)
        assert "\n" not in str(error.value)
    bad.write_bytes(content + b"\0")
    with pytest.raises(DamagedCheckpointError):
        read_verified(bad)


def test_a_file_that_is_no_checkpoint(tmp_path):
    torch.save(STATE, tmp_path / "foreign.pt")
    with pytest.raises(DamagedCheckpointError):
        read_verified(tmp_path / "foreign.pt")
    with pytest.raises(UserError, match="does not exist"):
        read_verified(tmp_path / "missing.pt")


class Code:
    def __reduce__(self):
        return print, ("this file runs code",)


def test_a_file_cannot_run_code(tmp_path, capsys):
    path, model = tmp_path / "a.pt", nn.Linear(1, 1)
    optimizer = AdamW(model.parameters())
    torch.save({"model": model.state_dict(), "optimizer": Code(), "iteration": 1}, path)
    with pytest.raises(pickle.UnpicklingError):
        load_checkpoint(path, model, optimizer)
    write_verified({"optimizer": Code()}, path)
    with pytest.raises(pickle.UnpicklingError):
        read_verified(path)
    assert capsys.readouterr().out == ""


def test_a_full_disk_leaves_the_old_checkpoint(checkpoint, full_disk):
    match = "cannot be written: " + os.strerror(errno.EFBIG)
    with full_disk(), pytest.raises(UserError, match=match):
        write_verified({"big": torch.zeros(10_000)}, checkpoint)
    assert_is_state(read_verified(checkpoint))
    assert [path.name for path in checkpoint.parent.iterdir()] == ["step.pt"]


def state_at(step):
    return {**STATE, "step": step}


def test_the_last_few_are_kept(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=2)
    assert folder.load_latest(print) is None
    for step in (5, 10, 15, 18):
        folder.save(step, state_at(step))
    assert folder.steps() == [15, 18]
    assert folder.load_latest(print)["step"] == 18
    assert len(list(folder.folder.iterdir())) == 2


def test_what_a_killed_process_left_of_a_checkpoint_is_deleted(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path)
    folder.save(5, state_at(5))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: os._exit(9))
        child = os.fork()
        if child == 0:
            folder.save(10, state_at(10))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert len(list(folder.folder.iterdir())) == 2
    assert folder.steps() == [5]
    folder.save(10, state_at(10))
    assert sorted(path.name for path in folder.folder.iterdir()) == [
        "step-00000005.pt",
        "step-00000010.pt",
    ]


def test_a_damaged_one_is_set_aside_for_the_one_before(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=2)
    for step in (5, 10):
        folder.save(step, state_at(step))
    with open(folder.path(10), "r+b") as file:
        file.truncate(500)
    said = []
    assert folder.load_latest(said.append)["step"] == 5
    assert len(said) == 1
    assert "step 10 is damaged" in said[0]
    assert folder.steps() == [5]
    folder.save(7, state_at(7))  # the damaged one does not count among the kept
    assert folder.steps() == [5, 7]


def test_if_all_are_damaged_it_says_so(tmp_path):
    folder = CheckpointFolder(tmp_path)
    folder.save(5, state_at(5))
    folder.path(5).write_bytes(b"")
    with pytest.raises(UserError, match=r"every checkpoint in .* is damaged; start again"):
        folder.load_latest(print)


def test_a_full_disk_says_what_is_still_good(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path)
    folder.save(5, state_at(5))

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(
        UserError, match=r"No space left on device; the one of step 5 is still good"
    ):
        folder.save(10, state_at(10))
    monkeypatch.undo()
    assert folder.load_latest(print)["step"] == 5


def draw():
    return random.random(), np.random.rand(), np.random.randn(), torch.rand(3).tolist()  # noqa: NPY002


def test_random_states_survive_a_file(tmp_path):
    random.gauss(0, 1)
    np.random.randn()  # noqa: NPY002 - leaves a second number in the cache
    write_verified(random_states(), tmp_path / "states.pt")
    expected = draw()
    draw()
    set_random_states(read_verified(tmp_path / "states.pt"))
    assert draw() == expected


@pytest.mark.parametrize("tied", [False, True])
def test_load_model(tmp_path, tied):
    config = TransformerConfig(
        vocab_size=30, context_length=8, d_model=16, n_layers=2, n_heads=2, tie_embeddings=tied
    )
    model = Transformer(config, torch.Generator().manual_seed(1))
    state = {
        "step": 9,
        "model": model.state_dict(),
        "optimizer": {},
        "config": {"model": configs.to_dict(config)},
        "tokenizer_hash": "abc",
    }
    folder = CheckpointFolder(tmp_path)
    with pytest.raises(UserError, match="has no checkpoint yet"):
        load_model(tmp_path)
    folder.save(9, state)
    ids = torch.tensor([[1, 2, 3]])
    for path in (tmp_path, folder.path(9)):
        loaded, rest = load_model(path)
        assert torch.equal(loaded(ids), model(ids))
        assert not loaded.training
        assert (rest["step"], rest["tokenizer_hash"]) == (9, "abc")
        assert (loaded.lm_head.weight is loaded.token_embeddings.weight) == tied
    assert checkpoint_folder.__doc__
