import math
import os
import signal
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assignment1_basics.reference import train as train_module
from assignment1_basics.reference.checkpoint_folder import CheckpointFolder, load_model
from assignment1_basics.reference.evaluation import evaluate
from assignment1_basics.reference.loss import token_losses
from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.transformer import Transformer
from assignment1_basics.reference.optimizer.adamw import AdamW
from assignment1_basics.reference.tokenizer.token_file import open_token_file
from assignment1_basics.reference.train import train
from assignment1_basics.reference.train_config import (
    DataConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainConfig,
    require_same_trajectory,
)
from assignment1_basics.reference.train_step import TrainStep
from course.errors import PreemptedError, TrainingDivergedError, UserError
from course.runs import column, read_metrics

from .tiny_runs import BYTES_PER_TOKEN, HASH, VOCAB, tiny_config, write_tokens


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def test_a_run_learns_and_leaves_everything_behind(tmp_path, run_folder):
    config = tiny_config(tmp_path, steps=150, eval_interval=50, checkpoint_interval=60)
    evaluated = []
    result = train(config, run_folder, on_evaluation=lambda model, step: evaluated.append(step))
    rows = read_metrics(run_folder)
    steps, losses = column(rows, "loss")
    assert steps == list(range(1, 151))
    assert losses[0] == pytest.approx(math.log(VOCAB), rel=0.3)
    assert sum(losses[-10:]) / 10 < 0.7 * losses[0]
    assert column(rows, "learning_rate")[1][2] == pytest.approx(1e-2)  # the warm-up's end
    assert column(rows, "learning_rate")[1][-1] == pytest.approx(1e-3)
    assert all(norm > 0 for norm in column(rows, "gradient_norm")[1])
    assert column(rows, "valid_loss")[0] == evaluated == [50, 100, 150]
    assert column(rows, "tokens_per_second")[0][0] == 4  # the first step alone says little
    assert CheckpointFolder(run_folder).steps() == [120, 150]
    assert (run_folder / "loss.png").stat().st_size > 1000
    assert (run_folder / "config.yaml").exists()
    assert result.tokens_per_second > 0
    assert result.train_loss == pytest.approx(sum(losses[-20:]) / 20)
    assert result.bits_per_byte == column(rows, "bits_per_byte")[1][-1]
    loaded, state = load_model(run_folder)
    assert state["tokenizer_hash"] == HASH
    assert loaded.config.vocab_size == VOCAB  # taken from the token file
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(loaded(ids), result.model(ids))


def test_the_seed_decides_the_first_weights(tmp_path):
    models = []
    for seed in (0, 1):
        folder = tmp_path / str(seed)
        folder.mkdir()
        models.append(train(tiny_config(tmp_path, seed=seed, steps=1), folder).model)
    apart = models[0].token_embeddings.weight - models[1].token_embeddings.weight
    assert apart.std() > 1  # not one step of training


def test_the_plot_grows_while_a_long_run_goes_on(tmp_path, run_folder, monkeypatch):
    plotted = []
    monkeypatch.setattr(train_module._Training, "_plot", lambda self: plotted.append(self.step))
    monkeypatch.setattr(train_module, "PLOT_INTERVAL_S", 0)
    train(tiny_config(tmp_path), run_folder)
    assert plotted == [7, 14, 21, 24]


def test_held_out_numbers_are_those_of_one_long_sum(tmp_path, run_folder):
    config = tiny_config(tmp_path, steps=5)
    result = train(config, run_folder)
    tokens = open_token_file(config.data.valid).tokens.astype("int64")
    nats = 0.0
    with torch.no_grad():  # window by window, as the definition says
        for start in range(0, len(tokens) - 1, 8):
            window = torch.from_numpy(tokens[start : start + 9])
            logits = result.model(window[:-1].unsqueeze(0))[0].double()
            nats -= logits.log_softmax(-1)[torch.arange(len(window) - 1), window[1:]].sum().item()
    # The tail is scored in a window that is moved back, with more to look back on.
    assert result.valid_loss == pytest.approx(nats / (len(tokens) - 1), rel=2e-3)
    bits = (result.valid_loss * (len(tokens) - 1) + math.log(VOCAB)) / math.log(2)
    assert result.bits_per_byte == pytest.approx(bits / (BYTES_PER_TOKEN * len(tokens)))


def test_evaluation_of_a_model_that_knows_nothing_is_log_vocab(tmp_path):
    tokens = open_token_file(write_tokens(tmp_path / "a.tok", 301)).tokens

    def uniform(inputs, targets):
        return token_losses(torch.zeros(*inputs.shape, VOCAB), targets)

    whole = evaluate(uniform, tokens, 4, 8)
    assert whole.whole
    assert whole.num_tokens == 300
    assert whole.loss == pytest.approx(math.log(VOCAB))
    assert whole.perplexity == pytest.approx(VOCAB)
    assert whole.bits_per_byte(301, VOCAB) == pytest.approx(math.log2(VOCAB))
    part = evaluate(uniform, tokens, 4, 8, max_batches=2)
    assert (part.num_tokens, part.whole) == (64, False)
    with pytest.raises(ValueError, match="whole text"):
        part.bits_per_byte(301, VOCAB)


def one_step(micro_batch_size):
    config = TransformerConfig(
        vocab_size=VOCAB, context_length=8, d_model=16, n_layers=2, n_heads=2
    )
    model = Transformer(config, torch.Generator().manual_seed(0)).double()
    step = TrainStep(model, OptimizerConfig(), micro_batch_size=micro_batch_size)
    ids = torch.randint(VOCAB, (8, 9), generator=torch.Generator().manual_seed(1))
    loss, norm = step(ids[:, :-1], ids[:, 1:], 1e-2)
    return loss, norm, torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("micro_batch_size", [1, 2, 4])
def test_micro_batches_take_the_same_step(micro_batch_size):
    for a, b in zip(one_step(None), one_step(micro_batch_size), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)  # losses are added in float32


def test_the_step_is_the_plain_loop(tmp_path):
    """Autograd's own cross-entropy, PyTorch's AdamW and clipping: the same weights."""
    config = TransformerConfig(
        vocab_size=VOCAB, context_length=8, d_model=16, n_layers=1, n_heads=2
    )
    models = [Transformer(config, torch.Generator().manual_seed(0)).double() for _ in range(2)]
    recipe = OptimizerConfig(weight_decay=0.3, max_gradient_norm=0.5)
    step = TrainStep(models[0], recipe)
    assert isinstance(step.optimizer, AdamW)
    matrices = [p for n, p in models[1].named_parameters() if p.ndim > 1 and "embedding" not in n]
    ids = {id(p) for p in matrices}
    rest = [p for p in models[1].parameters() if id(p) not in ids]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.3}, {"params": rest, "weight_decay": 0.0}],
        betas=recipe.betas,
        eps=recipe.eps,
    )
    for i in range(20):
        batch = torch.randint(VOCAB, (4, 9), generator=torch.Generator().manual_seed(i))
        inputs, targets = batch[:, :-1], batch[:, 1:]
        step(inputs, targets, 1e-2 / (i + 1))
        logits = models[1](inputs)
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
        torch.nn.utils.clip_grad_norm_(models[1].parameters(), 0.5)
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 / (i + 1)
        optimizer.step()
        optimizer.zero_grad()
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("fused", "kernel"), [(True, torch.optim.AdamW), (False, AdamW), (None, AdamW)]
)
@pytest.mark.parametrize("bf16", [False, True])
def test_fused_is_pytorchs_kernel_and_bf16_autocasts(fused, kernel, bf16):
    model = Transformer(TransformerConfig(VOCAB, 8, d_model=16, n_layers=1, n_heads=2))
    step = TrainStep(model, OptimizerConfig(fused=fused), bf16=bf16)
    assert type(step.optimizer) is kernel
    formats = []
    model.lm_head.register_forward_hook(lambda *arguments: formats.append(arguments[-1].dtype))
    step(torch.zeros(2, 8, dtype=torch.long), torch.zeros(2, 8, dtype=torch.long), 1e-3)
    assert formats == [torch.bfloat16 if bf16 else torch.float32]


def test_a_short_format_hardly_changes_the_loss(tmp_path, run_folder):
    fused = OptimizerConfig(learning_rate=1e-2, fused=True)
    result = train(tiny_config(tmp_path, optimizer=fused, precision="bf16"), run_folder)
    other = tmp_path / "other"
    other.mkdir()
    plain = train(tiny_config(tmp_path), other)
    assert result.model.lm_head.weight.dtype == torch.float32
    assert result.valid_loss == pytest.approx(plain.valid_loss, rel=0.02)


def test_divergence_says_where_and_keeps_the_last_good_checkpoint(
    tmp_path, run_folder, monkeypatch
):
    config = tiny_config(tmp_path, steps=40)
    forward = Transformer.forward
    calls = []

    def poisoned(model, *arguments):
        calls.append(torch.is_grad_enabled())
        logits = forward(model, *arguments)
        return logits * float("nan") if sum(calls) == 18 else logits

    monkeypatch.setattr(Transformer, "forward", poisoned)
    with pytest.raises(TrainingDivergedError) as error:
        train(config, run_folder)
    message = str(error.value)
    rate = config.with_vocabulary(VOCAB).learning_rate(18)
    assert message.startswith(
        f"training diverged at step 18: loss nan, gradient norm nan, learning rate {rate:.3g}; "
        "the checkpoint of step 14 is kept"
    )
    assert error.value.exit_code == 3
    assert CheckpointFolder(run_folder).steps() == [7, 14]
    assert all(p.isfinite().all() for p in load_model(run_folder)[0].parameters())
    assert column(read_metrics(run_folder), "loss")[0][-1] <= 17


def test_a_gradient_that_overflows_is_divergence_too(tmp_path, run_folder, monkeypatch):
    monkeypatch.setattr(
        train_module.TrainStep, "__call__",
        lambda self, *_: (torch.tensor(1.0), torch.tensor(math.inf)),
    )  # fmt: skip
    with pytest.raises(TrainingDivergedError, match="at step 1: loss 1, gradient norm inf"):
        train(tiny_config(tmp_path), run_folder)


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, PreemptedError), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_saves_and_says_how_to_continue(tmp_path, run_folder, number, error, monkeypatch):
    monkeypatch.delenv("SUBMITIT_EXECUTOR", raising=False)
    take_step = TrainStep.__call__

    def interrupted(self, *arguments):
        result = take_step(self, *arguments)
        if arguments[-1] == config.learning_rate(11):
            os.kill(os.getpid(), number)
        return result

    config = tiny_config(tmp_path).with_vocabulary(VOCAB)
    monkeypatch.setattr(TrainStep, "__call__", interrupted)
    with pytest.raises(error, match=r"saved at step 11; to continue: course train --name run"):
        train(config, run_folder)
    assert CheckpointFolder(run_folder).steps() == [7, 11]
    assert len(column(read_metrics(run_folder), "loss")[0]) == 11


def test_no_held_out_data(tmp_path, run_folder):
    config = tiny_config(tmp_path)
    result = train(replace(config, data=DataConfig(config.data.train)), run_folder)
    assert result.valid_loss is None
    assert result.bits_per_byte is None
    assert column(read_metrics(run_folder), "valid_loss") == ([], [])


def test_wrong_input_is_named_before_anything_is_written(tmp_path, run_folder):
    config = tiny_config(tmp_path)
    data = config.data
    foreign = write_tokens(tmp_path / "foreign.tok", tokenizer_hash="f" * 16)
    short = write_tokens(tmp_path / "short.tok", 8)
    long = replace(config.model, context_length=5000)
    small = replace(config.model, vocab_size=VOCAB - 1)
    cases = [
        (replace(config, data=DataConfig(tmp_path / "no.tok")), "no.tok' does not exist"),
        (replace(config, data=replace(data, valid=foreign)), "foreign.tok' was written with"),
        (replace(config, data=DataConfig(short)), "context_length 8 is longer than the data"),
        (replace(config, data=replace(data, valid=short)), "context_length 8 is longer than the"),
        (replace(config, model=long), "context_length 5000 is longer than the data: 3000 tokens"),
        (replace(config, model=small), "model.vocab_size is 39; it must be at least 40"),
        (replace(config, device="cuda:9"), "device 'cuda:9' is not available"),
        (replace(config, device="tpu"), "device 'tpu' is not available"),
    ]
    for wrong, message in cases:
        with pytest.raises(UserError) as error:
            train(wrong, run_folder)
        assert message in str(error.value)
        assert "\n" not in str(error.value)
        assert list(run_folder.iterdir()) == [], message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrainConfig(DataConfig("a"), steps=0), "steps is 0"),
        (lambda: TrainConfig(DataConfig("a"), micro_batch_size=5), "micro_batch_size is 5"),
        (lambda: TrainConfig(DataConfig("a"), eval_batches=-1), "eval_batches is -1"),
        (lambda: OptimizerConfig(learning_rate=0), "optimizer.learning_rate is 0"),
        (lambda: OptimizerConfig(betas=(0.9, 1.0)), "optimizer.betas is"),
        (lambda: OptimizerConfig(max_gradient_norm=0), "optimizer.max_gradient_norm is 0"),
        (lambda: ScheduleConfig(min_ratio=2), "schedule.min_ratio is 2"),
        (lambda: ScheduleConfig(warmup_steps=-1), "schedule.warmup_steps is -1"),
    ],
)
def test_configs_that_cannot_be(make, message):
    with pytest.raises(UserError) as error:
        make()
    assert message in str(error.value)


@given(
    kind=st.sampled_from(["cosine", "wsd", "constant"]),
    steps=st.integers(1, 200),
    warmup=st.none() | st.integers(0, 100),
)
def test_every_schedule_ends_where_it_should(kind, steps, warmup):
    config = TrainConfig(
        DataConfig("a"), schedule=ScheduleConfig(kind, warmup, min_ratio=0.25), steps=steps,
        optimizer=OptimizerConfig(learning_rate=0.4),
    )  # fmt: skip
    rates = [config.learning_rate(step) for step in range(1, steps + 1)]
    assert all(0 < rate <= 0.4 * (1 + 1e-12) for rate in rates)
    if (warmup or 0) < steps and steps >= 5:  # wsd: a fifth of fewer may be no step
        assert rates[-1] == pytest.approx(0.4 if kind == "constant" else 0.1)


@pytest.mark.parametrize(("steps", "warmup"), [(200, 10), (20_000, 1000), (100_000, 1000)])
def test_the_warm_up_is_a_twentieth_of_the_steps_at_most_1000(steps, warmup):
    config = TrainConfig(DataConfig("a"), schedule=ScheduleConfig("constant"), steps=steps)
    highest = config.optimizer.learning_rate
    assert config.learning_rate(warmup - 1) < highest == config.learning_rate(warmup)


OTHER = [
    ("learning_rate", 1e-4),
    ("betas", (0.8, 0.95)),
    ("eps", 1e-6),
    ("weight_decay", 0.2),
    ("max_gradient_norm", 2.0),
    ("fused", True),
]


def test_what_may_change_when_a_run_resumes(tmp_path):
    wsd = ScheduleConfig("wsd", 5, decay_share=0.2)
    old = TrainConfig(DataConfig(tmp_path / "a"), schedule=wsd, steps=100)
    for free in ({"device": "cpu"}, {"eval_interval": 3}, {"compile": True}, {"wandb": False}):
        require_same_trajectory(old, replace(old, **free), 50)
    require_same_trajectory(old, replace(old, steps=200), 80)  # its decay would begin now
    for step, change in [
        (81, {"steps": 200}),
        (10, {"seed": 1}),
        (10, {"batch_size": 64}),
        (10, {"micro_batch_size": 1}),
        (10, {"precision": "bf16"}),
        *((10, {"optimizer": replace(old.optimizer, **{name: value})}) for name, value in OTHER),
        (10, {"model": TransformerConfig(tie_embeddings=True)}),
        (10, {"schedule": replace(wsd, warmup_steps=6)}),
    ]:
        with pytest.raises(UserError, match="another config") as error:
            require_same_trajectory(old, replace(old, **change), step)
        assert next(iter(change)) in str(error.value)
    new = replace(old, optimizer=OptimizerConfig(weight_decay=0.2))
    with pytest.raises(UserError, match=r"optimizer.weight_decay: 0.1 -> 0.2"):
        require_same_trajectory(old, new, 1)
