"""Activation checkpointing: forget what the forward pass computed, compute it again when needed.

Chen et al. 2016, "Training deep nets with sublinear memory cost". A checkpointed call keeps its
arguments and nothing else; when the backward pass asks for the first of its activations it runs
again. Memory falls from all activations to one segment's; the price is a second forward pass, about
a third of the FLOPs of a step. How long a segment should be: `checkpoint_planning`.

The wrapper hangs on autograd's saved-tensor hooks, as PyTorch's non-reentrant one does
(`torch.utils.checkpoint`, use_reentrant=False): in the first run every saved tensor is replaced by
its number, and the second run, which saves the same tensors in the same order, supplies them. It
ends as soon as the last one is there, so the segment's last product is not computed again.
Gradients have the same bits as without it. It works

- under autocast: the second run has the settings of the first;
- with dropout: it has the random state of the first, CPU and GPU, and puts the present one back;
- nested, with keyword arguments, with `torch.autograd.grad`, with inputs that need no gradient;
- with `retain_graph=True`, though each backward pass then computes the segment once more;
- around a compiled function, `checkpoint(torch.compile(block), x)`.

Inside a graph that `torch.compile` makes of a larger function nothing is left to hook at run time:
what is kept is the compiler's choice. There the call is handed on to PyTorch's `checkpoint`, which
the compiler takes as the mark of what to recompute. Not supported: functions that change their
arguments in place (refused with an error), and functions whose operations depend on something else
than arguments, parameters and random numbers (an error, where the number of saved tensors tells).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._pytree import tree_leaves, tree_map

from assignment1_basics.reference.model.config import TransformerConfig
from assignment1_basics.reference.model.kv_cache import KVCache, require_room
from assignment1_basics.reference.model.rope import Rotation
from assignment1_basics.reference.model.transformer import Transformer
from course.errors import UserError

Result = TypeVar("Result")


def checkpoint(function: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """Return `function(*args, **kwargs)` without keeping what its backward pass needs.

    The backward pass calls `function` a second time; the gradients are those of a plain call.
    """
    if torch.compiler.is_compiling():
        from torch.utils.checkpoint import checkpoint as mark_for_the_compiler

        return mark_for_the_compiler(function, *args, use_reentrant=False, **kwargs)
    if not torch.is_grad_enabled():
        return function(*args, **kwargs)
    segment = _Segment(function, args, kwargs)
    with saved_tensors_hooks(segment.forget, segment.recall):
        return function(*args, **kwargs)


class _HasAllError(Exception):
    """Ends the second run: every tensor that the backward pass needs is there."""


class _Segment:
    """What is kept of a checkpointed call: how to make it again."""

    def __init__(self, function: Callable[..., Any], args: tuple, kwargs: dict[str, Any]):
        self.function, self.args, self.kwargs = function, args, kwargs
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        self.versions = [(tensor, tensor._version) for tensor in tensors]
        self.random = RandomState(tensors)
        self.autocast = [
            (kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind))
            for kind in sorted({"cpu", *(tensor.device.type for tensor in tensors)})
        ]
        self.autocast_cache = torch.is_autocast_cache_enabled()
        self.saved = 0
        self.recomputed: dict[int, Tensor] = {}

    def forget(self, tensor: Tensor) -> int:
        """Keep a saved tensor's number only."""
        self.saved += 1
        return self.saved - 1

    def recall(self, number: int) -> Tensor:
        """Return the saved tensor of that number; it is dropped here, and kept by the caller."""
        if number not in self.recomputed:
            self._run_again()
        return self.recomputed.pop(number)

    def _run_again(self) -> None:
        for tensor, version in self.versions:
            if tensor._version != version:
                raise UserError(
                    "an argument of a checkpointed call was changed in place after the call; "
                    "give it a copy"
                )
        found: dict[int, Tensor] = {}

        def keep(tensor: Tensor) -> Tensor:
            found[len(found)] = tensor.detach()
            if len(found) == self.saved:
                raise _HasAllError
            return tensor.detach()

        args, kwargs = tree_map(_as_leaf, (self.args, self.kwargs))
        with ExitStack() as stack, suppress(_HasAllError):
            stack.enter_context(self.random.restored())
            for kind, dtype, enabled in self.autocast:
                stack.enter_context(torch.autocast(kind, dtype, enabled, self.autocast_cache))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(saved_tensors_hooks(keep, lambda tensor: tensor))
            self.function(*args, **kwargs)
        if len(found) == self.saved:
            self.recomputed = found
            return
        raise UserError(
            f"a checkpointed call saved {self.saved} tensors, its second run {len(found)}; "
            "it must do the same work each time"
        )


def _as_leaf(value: Any) -> Any:
    """Cut a tensor off from its history, so that the second run records the segment alone."""
    if isinstance(value, Tensor):
        return value.detach().requires_grad_(value.requires_grad)
    return value


class RandomState:
    """The state of the CPU's generator and of those of the GPUs that hold `tensors`."""

    def __init__(self, tensors: Sequence[Tensor]):
        self.gpus = sorted({tensor.get_device() for tensor in tensors if tensor.is_cuda})
        self.cpu = torch.get_rng_state()
        self.cuda = [torch.cuda.get_rng_state(gpu) for gpu in self.gpus]

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Have this state inside the block; after it the present one goes on."""
        with torch.random.fork_rng(self.gpus):
            torch.set_rng_state(self.cpu)
            for gpu, state in zip(self.gpus, self.cuda, strict=True):
                torch.cuda.set_rng_state(state, gpu)
            yield


class CheckpointedTransformer(Transformer):
    """A Transformer whose blocks are checkpointed in segments; parameters and keys are the same.

    Args:
        config: the model.
        segment_length: blocks in a segment.
        checkpointed: how many blocks, from the first, are in segments; the rest keep what they
            compute. None: all.
        generator: draws the initial weights.
    """

    def __init__(
        self,
        config: TransformerConfig,
        segment_length: int = 1,
        checkpointed: int | None = None,
        generator: torch.Generator | None = None,
    ):
        super().__init__(config, generator)
        if segment_length < 1:
            raise UserError(f"segment_length is {segment_length}; it must be at least 1")
        self.checkpointed = config.n_layers if checkpointed is None else checkpointed
        if not 0 <= self.checkpointed <= config.n_layers:
            raise UserError(
                f"checkpointed is {checkpointed}; it must be from 0 to n_layers = {config.n_layers}"
            )
        self.segment_length = segment_length

    def hidden_states(
        self, token_ids: Int[Tensor, "batch seq"], cache: KVCache | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """Return what the head turns into logits; with a cache, as the plain model does."""
        if cache is not None or not torch.is_grad_enabled():
            return super().hidden_states(token_ids, cache)
        seq = token_ids.shape[-1]
        require_room(0, seq, self.config.context_length, "the model's context")
        rotation = None if self.rope is None else self.rope.between(0, seq)
        x = self.token_embeddings(token_ids)
        for begin in range(0, self.checkpointed, self.segment_length):
            end = min(begin + self.segment_length, self.checkpointed)
            x = checkpoint(self._run_layers, begin, end, x, rotation)
        x = self._run_layers(self.checkpointed, self.config.n_layers, x, rotation)
        return self.ln_final(x)

    def _run_layers(self, begin: int, end: int, x: Tensor, rotation: Rotation | None) -> Tensor:
        for layer in self.layers[begin:end]:
            x = layer(x, rotation)
        return x
