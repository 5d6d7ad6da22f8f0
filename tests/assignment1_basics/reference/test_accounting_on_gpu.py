"""The memory calculator against what an NVIDIA H200 allocated, as `benchmarks` keeps it.

No GPU is needed: a formula that is changed must still fit what was measured.
"""

import json
from dataclasses import replace

import pytest

from assignment1_basics.reference.accounting.activations import TrainingSetup
from assignment1_basics.reference.accounting.formats import PRECISIONS
from assignment1_basics.reference.accounting.memory import training_memory
from assignment1_basics.reference.model.config import TransformerConfig
from benchmarks.common import RESULTS
from benchmarks.memory_accounting import MIB, MODES, SHAPES

NEWEST = max(RESULTS.glob("memory-accounting-????-??-??.json"))
ROWS = {f"{row['model']}, {row['how']}": row for row in json.loads(NEWEST.read_text())["rows"]}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_peaks_are_within_a_tenth_of_the_measured_ones(row):
    config, batch_size = SHAPES[row["model"]]
    (mode,) = (mode for mode in MODES if str(mode) == row["how"])
    setup = TrainingSetup(
        batch_size,
        precision=PRECISIONS[mode.precision],
        compiled=mode.compiled,
        checkpointing=mode.checkpointing,
    )
    memory = training_memory(replace(config, attention=mode.attention), setup)
    assert memory.peak / MIB == pytest.approx(row["measured MiB"], rel=0.1)


def test_a_tied_head_has_its_gradient_before_the_blocks_have_theirs():
    """So in the last block's turn as many gradients are there as if it were not tied."""
    beside_weights = []
    for tied in (False, True):
        config = TransformerConfig(tie_embeddings=tied)
        memory = training_memory(config, TrainingSetup())
        at_last_block = memory.moments["backward pass, last block"]
        beside_weights.append(at_last_block - memory.static["weights"] - memory.static["optimizer"])
    assert beside_weights[0] == beside_weights[1]


@pytest.mark.parametrize("compiled", [False, True])
def test_checkpointing_keeps_the_input_of_every_block_but_what_the_compiler_looks_up(compiled):
    config = TransformerConfig(n_layers=3)
    setup = TrainingSetup(2, compiled=compiled, checkpointing=True)
    stream = 2 * config.context_length * config.d_model * 4
    assert training_memory(config, setup).activations["block inputs"] == (3 - compiled) * stream
