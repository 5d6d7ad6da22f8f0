"""AdamW for all parameters in one launch, with float32 master weights for short ones.

The update (Loshchilov and Hutter 2019, algorithm 2; written out in assignment 1) does 12 operations
for 28 bytes of float32 traffic a weight: read w, g, m, v, write w, m, v. So time is bytes over
bandwidth, if the launches are few: a model has hundreds of tensors, most of them small. Here a
table on the device holds the address of every tensor and its numbers (learning rate, decay, bias
corrections), and a second one says which piece of which tensor each program takes. All groups share
a launch; tensors of another dtype have another one.

Weights in bfloat16 need a master: lr * update is below half a unit in the last place (2^-9 of the
weight) as soon as training gets slow, and rounding to nearest then changes nothing, ever. The
master is float32, in the optimizer's state; the kernel writes it and its bfloat16 rounding. That is
28 bytes a weight again (g and the copy are 2 each), and saves the casts of weights and gradients
that autocast makes in every step, 12 bytes a weight.

`moment_dtype` bfloat16 takes the state from 8 to 4 bytes a weight. Rounding to nearest would freeze
v there: with beta2 = 0.999 it moves by 0.1% a step and bfloat16 by 0.4% at least. So moments are
rounded stochastically, up with the probability of what is cut off; the random bits are a hash of
step and index, hence the same in every run.

Clipping scales gradients by a factor; `step(gradient_scale=...)` does so on the way, which saves
the 8 bytes a weight of scaling them in memory.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from assignment2_systems.reference.kernels.adamw_kernels import adamw_kernel
from assignment2_systems.reference.kernels.launch import CHOICES
from assignment2_systems.reference.triton_support import DTYPES, cdiv, check_device
from course.errors import UserError

CHUNK = 8192
"""Elements of one tensor that a program updates: enough to pay for looking up the tables."""
ADDRESSES, NUMBERS = 6, 8
MOMENTS = ("exp_avg", "exp_avg_sq")


class FusedAdamW(torch.optim.Optimizer):
    """AdamW in one kernel for all parameters; state keys as `torch.optim.AdamW`, and "master".

    Args:
        params: contiguous parameters, or groups of them that override the values below.
        lr: learning rate.
        betas: decay of the running mean of the gradient and of its square.
        eps: added to the denominator.
        weight_decay: share of the weight that `lr` = 1 would take away in one step.
        moment_dtype: float32, or bfloat16 for half the memory, rounded stochastically.
        master_weights: keep a float32 master of weights in 16 bits; False updates the weights
            themselves, rounded to nearest, which loses small updates.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        moment_dtype: torch.dtype = torch.float32,
        master_weights: bool = True,
    ):
        if moment_dtype not in (torch.float32, torch.bfloat16):
            raise UserError(f"moment_dtype is {moment_dtype}; it must be float32 or bfloat16")
        self.moment_dtype, self.master_weights = moment_dtype, master_weights
        self._pieces: dict[tuple, Tensor] = {}
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )
        for parameter in self._parameters():
            if parameter.dtype not in DTYPES or not parameter.is_contiguous():
                raise UserError(
                    f"a parameter is {parameter.dtype} with strides {parameter.stride()}; it must "
                    "be contiguous, in float32, float16 or bfloat16"
                )

    @torch.no_grad()
    def step(  # type: ignore[override]
        self,
        closure: Callable[[], float] | None = None,
        gradient_scale: Float[Tensor, ""] | None = None,
    ) -> float | None:
        """Update every parameter that has a gradient; return the closure's loss if one is given.

        `gradient_scale`, a float32 on the parameters' device, multiplies all gradients on the way.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        launches: dict[tuple, list[tuple[Tensor, dict[str, Any]]]] = {}
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    kind = (parameter.device, parameter.dtype, parameter.grad.dtype)
                    launches.setdefault(kind, []).append((parameter, group))
        for updates in launches.values():
            self._launch(updates, gradient_scale)
        return loss

    def _launch(self, updates: list[tuple[Tensor, dict[str, Any]]], scale: Tensor | None) -> None:
        """Update tensors of one device and kind."""
        weights = [parameter for parameter, _ in updates]
        check_device(*weights, *(() if scale is None else (scale,)))
        gradients = [_gradient(parameter) for parameter in weights]
        addresses, numbers, step = [], [], 0
        for (parameter, group), gradient in zip(updates, gradients, strict=True):
            state = self._state_of(parameter)
            state["step"] += 1
            step = int(state["step"].item())
            master = state.get("master", parameter)
            tensors = (gradient, state["exp_avg"], state["exp_avg_sq"], master, parameter)
            addresses.append([parameter.numel(), *(tensor.data_ptr() for tensor in tensors)])
            numbers.append(_numbers(group, step))
        device, launch = weights[0].device, CHOICES["adamw"]
        pieces = self._pieces_of(weights)
        if not len(pieces):
            return
        adamw_kernel[(len(pieces),)](
            _to_device(torch.tensor(addresses, dtype=torch.int64), device),
            _to_device(torch.tensor(numbers, dtype=torch.float32), device),
            pieces, pieces if scale is None else scale.float(), step,
            WEIGHT=DTYPES[weights[0].dtype], GRADIENT=DTYPES[gradients[0].dtype],
            MOMENT=DTYPES[self.moment_dtype], N_ADDRESSES=ADDRESSES, N_NUMBERS=NUMBERS,
            PIECE=CHUNK, BLOCK=launch.tile, MASTER=self._has_master(weights[0]),
            SCALE=scale is not None, num_warps=launch.num_warps,
            ALIGNED=all(address % 16 == 0 for row in addresses for address in row[1:]),
        )  # fmt: skip

    def _state_of(self, parameter: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            for name in MOMENTS:
                state[name] = torch.zeros_like(parameter, dtype=self.moment_dtype)
            if self._has_master(parameter):
                state["master"] = parameter.detach().float()
        return state

    def _has_master(self, parameter: Tensor) -> bool:
        return self.master_weights and parameter.dtype != torch.float32

    def _pieces_of(self, weights: list[Tensor]) -> Tensor:
        """Return [pieces 2] on the device: the tensor of every piece, and which of its chunks."""
        sizes = tuple(weight.numel() for weight in weights)
        key = (weights[0].device, sizes)
        if key not in self._pieces:
            counts = torch.tensor([cdiv(size, CHUNK) for size in sizes])
            tensor = torch.repeat_interleave(torch.arange(len(sizes)), counts)
            first = counts.cumsum(0) - counts
            piece = torch.arange(len(tensor)) - first[tensor]
            table = torch.stack((tensor, piece), dim=1).int()
            self._pieces = {key: table.to(weights[0].device)}  # the last one, in case grads vary
        return self._pieces[key]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state; also that of `torch.optim.AdamW`, from which masters are made.

        PyTorch casts whatever it restores to the parameter's dtype, which would round masters and
        moments to bfloat16. They are restored here from the original.
        """
        super().load_state_dict(state_dict)
        saved_ids = chain.from_iterable(group["params"] for group in state_dict["param_groups"])
        for saved_id, parameter in zip(saved_ids, self._parameters(), strict=True):
            saved, state = state_dict["state"].get(saved_id), self.state[parameter]
            if not saved:
                continue
            # On the CPU, where PyTorch's fused optimizer does not keep it: the host reads it.
            state["step"] = saved["step"].detach().to("cpu", torch.float32, copy=True)
            for name in MOMENTS:
                state[name] = saved[name].to(parameter.device, self.moment_dtype, copy=True)
            if self._has_master(parameter):
                master = saved.get("master", parameter.detach())
                state["master"] = master.to(parameter.device, torch.float32, copy=True)
            else:
                state.pop("master", None)

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]


def _gradient(parameter: Tensor) -> Tensor:
    """Return the gradient in the order of the parameter's memory."""
    gradient = parameter.grad
    assert gradient is not None
    if gradient.is_sparse or gradient.dtype not in DTYPES:
        raise UserError(f"a gradient is {gradient.dtype}, {gradient.layout}; it must be dense")
    return gradient.contiguous()


def _numbers(group: dict[str, Any], step: int) -> list[float]:
    """Return what the kernel reads for one tensor, in the order that it does."""
    beta1, beta2 = group["betas"]
    return [
        1 - group["lr"] * group["weight_decay"],
        group["lr"] / (1 - beta1**step),
        (1 - beta2**step) ** -0.5,
        group["eps"],
        beta1,
        1 - beta1,
        beta2,
        1 - beta2,
    ]


def _to_device(table: Tensor, device: torch.device) -> Tensor:
    """Copy a small table without having the host wait for the GPU."""
    if device.type != "cuda":
        return table
    return table.pin_memory().to(device, non_blocking=True)
