"""Classic mistakes in AdamW and in the choice of what decays."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from course.grading.catalogue import Mistake, mistake

MISTAKES: list[Mistake] = []


# ---------------------------------------------------------------------------------------------
# AdamW


@dataclass(frozen=True)
class Rule:
    """The update of one parameter; each field is a step that a student may get wrong."""

    first: Callable = lambda m, g, b1, b2: b1 * m + (1 - b1) * g
    second: Callable = lambda v, g, b1, b2: b2 * v + (1 - b2) * g * g
    correction: Callable = lambda t, b1, b2: (1 - b1**t, 1 - b2**t)
    denominator: Callable = lambda v, eps: v.sqrt() + eps
    gradient: Callable = lambda g, p, decay: g
    decay_factor: Callable = lambda lr, decay: 1 - lr * decay
    lr: Callable = lambda group, defaults: group["lr"]
    betas: Callable = lambda group, defaults: group["betas"]
    count: Callable = lambda step: step + 1
    skip_none: bool = True
    in_place: bool = True
    keep_in_state: bool = True
    keep_gradient: bool = True


def adamw_class(rule: Rule) -> type[torch.optim.Optimizer]:
    """Return an AdamW whose update follows `rule`."""

    class AdamW(torch.optim.Optimizer):
        def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
            options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
            super().__init__(params, options)
            self.own: dict = {}

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None and rule.skip_none:
                        continue
                    self._update(p, group)

        def _update(self, p, group):
            store = self.state if rule.keep_in_state else self.own
            state = store.setdefault(p, {}) if not rule.keep_in_state else self.state[p]
            if not state:
                state.update(step=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
            lr, (b1, b2) = rule.lr(group, self.defaults), rule.betas(group, self.defaults)
            decay = group["weight_decay"]
            gradient = rule.gradient(p.grad, p, decay)
            state["step"] = rule.count(state["step"])
            state["m"] = rule.first(state["m"], gradient, b1, b2)
            state["v"] = rule.second(state["v"], gradient, b1, b2)
            c1, c2 = rule.correction(state["step"], b1, b2)
            update = (state["m"] / c1) / rule.denominator(state["v"] / c2, group["eps"])
            value = p * rule.decay_factor(lr, decay) - lr * update
            if rule.in_place:
                p.copy_(value)
            if not rule.keep_gradient:
                p.grad.zero_()

    return AdamW


def wrong_adamw(title: str, says: str, **step) -> None:
    MISTAKES.append(
        mistake("adamw", title, says=says)(
            lambda: {"get_adamw_cls": lambda: adamw_class(Rule(**step))}
        )
    )


wrong_adamw(
    "no bias correction",
    "both moments start at zero: divide by 1 - beta^t",
    correction=lambda t, b1, b2: (1.0, 1.0),
)
wrong_adamw(
    "only the first moment is corrected",
    "the second moment needs its correction 1 - beta2^t too",
    correction=lambda t, b1, b2: (1 - b1**t, 1.0),
)
wrong_adamw(
    "the bias correction never changes",
    "t counts the steps: 1 - beta^t grows towards 1",
    correction=lambda t, b1, b2: (1 - b1, 1 - b2),
)
wrong_adamw(
    "t is one too large",
    "t is 1 at the first step",
    correction=lambda t, b1, b2: (1 - b1 ** (t + 1), 1 - b2 ** (t + 1)),
)
wrong_adamw(
    "the betas are swapped",
    "beta1 belongs to the first moment, beta2 to the second",
    betas=lambda group, defaults: group["betas"][::-1],
)
wrong_adamw(
    "the gradient is not weighted by 1 - beta1",
    "m = beta1 * m + (1 - beta1) * g",
    first=lambda m, g, b1, b2: b1 * m + g,
)
wrong_adamw(
    "the second moment takes |g|",
    "v averages the squares of the gradient",
    second=lambda v, g, b1, b2: b2 * v + (1 - b2) * g.abs(),
)
wrong_adamw(
    "no square root",
    "divide by sqrt(v) + eps, not by v + eps",
    denominator=lambda v, eps: v + eps,
)
wrong_adamw(
    "epsilon under the root",
    "epsilon is added to sqrt(v), not to v",
    denominator=lambda v, eps: (v + eps).sqrt(),
)
wrong_adamw(
    "epsilon is forgotten",
    "a parameter whose gradients are zero divides 0 by 0: add eps to the denominator",
    denominator=lambda v, eps: v.sqrt(),
)
wrong_adamw(
    "epsilon is a constant",
    "use the eps that was passed, not 1e-8",
    denominator=lambda v, eps: v.sqrt() + 1e-8,
)
wrong_adamw(
    "Adam with L2 regularisation",
    "decoupled decay acts on the weights, not through the gradient and its moments",
    gradient=lambda g, p, decay: g + decay * p,
    decay_factor=lambda lr, decay: 1.0,
)
wrong_adamw(
    "the decay ignores the learning rate",
    "the weights shrink by lr * weight_decay at each step",
    decay_factor=lambda lr, decay: 1 - decay,
)
wrong_adamw(
    "no weight decay",
    "shrink the weights by lr * weight_decay at each step",
    decay_factor=lambda lr, decay: 1.0,
)
wrong_adamw(
    "the decay has the wrong sign",
    "decay makes weights smaller: p - lr * weight_decay * p",
    decay_factor=lambda lr, decay: 1 + lr * decay,
)
wrong_adamw(
    "lr is read once, at construction",
    "a schedule changes group['lr'] between steps: read it inside step()",
    lr=lambda group, defaults: defaults["lr"],
)
wrong_adamw(
    "the betas of a group are ignored",
    "read every option from its group, not from the defaults",
    betas=lambda group, defaults: defaults["betas"],
)
wrong_adamw(
    "parameters without a gradient crash",
    "skip parameters whose grad is None",
    skip_none=False,
)
wrong_adamw(
    "parameters are not changed in place",
    "p = p - ... makes a new tensor; change p.data itself",
    in_place=False,
)
wrong_adamw(
    "gradients are cleared by step()",
    "zero_grad() does that; the caller may still log or accumulate gradients after step()",
    keep_gradient=False,
)
wrong_adamw(
    "the moments are outside self.state",
    "state_dict saves self.state[p]; moments kept elsewhere are lost on resume",
    keep_in_state=False,
)


@mistake(
    "adamw",
    "one step count for all parameters together",
    says="t counts the steps of a parameter, not the updates of all of them",
)
def _shared_step_count():
    def get_adamw_cls():
        base = adamw_class(Rule())

        class AdamW(base):
            def _update(self, p, group):
                self.own["t"] = self.own.get("t", 0) + 1
                if self.state[p]:
                    self.state[p]["step"] = self.own["t"] - 1
                super()._update(p, group)

        return AdamW

    return {"get_adamw_cls": get_adamw_cls}


# ---------------------------------------------------------------------------------------------
# Decay groups


def wrong_groups(title: str, says: str, *, decays: Callable, named: Callable | None = None) -> None:
    def overlay():
        def run_get_weight_decay_groups(model, weight_decay):
            items = list((named or _trainable)(model))
            return [
                {"params": [p for n, p in items if decays(n, p)], "weight_decay": weight_decay},
                {"params": [p for n, p in items if not decays(n, p)], "weight_decay": 0.0},
            ]

        return {"run_get_weight_decay_groups": run_get_weight_decay_groups}

    MISTAKES.append(mistake("weight_decay_groups", title, says=says)(overlay))


def _trainable(model):
    return [(n, p) for n, p in model.named_parameters() if p.requires_grad]


def _decays(name: str, parameter: Tensor) -> bool:
    return parameter.ndim >= 2 and "embedding" not in name


wrong_groups(
    "everything decays",
    "norm gains, biases and embeddings do not decay",
    decays=lambda name, p: True,
)
wrong_groups(
    "embeddings decay",
    "weights whose name contains 'embedding' do not decay",
    decays=lambda name, p: p.ndim >= 2,
)
wrong_groups(
    "only matrices decay",
    "weights of three dimensions (stacked experts) decay as well: ndim >= 2",
    decays=lambda name, p: p.ndim == 2 and "embedding" not in name,
)
wrong_groups(
    "norm gains decay",
    "vectors do not decay, whatever they are called",
    decays=lambda name, p: "bias" not in name and "embedding" not in name,
)
wrong_groups(
    "frozen parameters are included",
    "a parameter with requires_grad=False belongs to no group",
    decays=_decays,
    named=lambda model: model.named_parameters(),
)
wrong_groups(
    "tied weights appear twice",
    "a shared parameter belongs to one group, once: named_parameters() drops duplicates",
    decays=_decays,
    named=lambda model: [
        (n, p) for n, p in model.named_parameters(remove_duplicate=False) if p.requires_grad
    ],
)


@mistake(
    "weight_decay_groups",
    "the weight decay is a constant",
    says="use the weight_decay that was passed",
)
def _constant_decay():
    def run_get_weight_decay_groups(model, weight_decay):
        items = _trainable(model)
        return [
            {"params": [p for n, p in items if _decays(n, p)], "weight_decay": 0.1},
            {"params": [p for n, p in items if not _decays(n, p)], "weight_decay": 0.0},
        ]

    return {"run_get_weight_decay_groups": run_get_weight_decay_groups}
