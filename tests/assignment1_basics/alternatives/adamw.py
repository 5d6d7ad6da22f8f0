"""AdamW in forms that textbooks give and that differ in their order of operations."""

import math

import torch

from course.grading.catalogue import alternative


class _Base(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)


@alternative("adamw", "bias correction folded into the step size, decay last, through p.data")
def folded_correction():
    class AdamW(_Base):
        def step(self, closure=None):
            loss = None if closure is None else closure()
            for group in self.param_groups:
                lr, (beta1, beta2) = group["lr"], group["betas"]
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state, grad = self.state[p], p.grad.data
                    t = state.get("t", 1)
                    m = state.get("m", torch.zeros_like(p.data))
                    v = state.get("v", torch.zeros_like(p.data))
                    m = beta1 * m + (1 - beta1) * grad
                    v = beta2 * v + (1 - beta2) * torch.square(grad)
                    size = lr * math.sqrt(1 - beta2**t) / (1 - beta1**t)
                    p.data -= size * m / (torch.sqrt(v) + group["eps"])
                    p.data -= lr * group["weight_decay"] * p.data
                    state["t"], state["m"], state["v"] = t + 1, m, v
            return loss

    return {"get_adamw_cls": lambda: AdamW}


@alternative("adamw", "in-place lerp and addcdiv, step count in a tensor")
def in_place():
    class AdamW(_Base):
        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                beta1, beta2 = group["betas"]
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if not state:
                        state["step"] = torch.zeros(())
                        state["exp_avg"] = torch.zeros_like(p)
                        state["exp_avg_sq"] = torch.zeros_like(p)
                    state["step"] += 1
                    t = float(state["step"])
                    state["exp_avg"].lerp_(p.grad, 1 - beta1)
                    state["exp_avg_sq"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    root = (state["exp_avg_sq"] / (1 - beta2**t)).sqrt_().add_(group["eps"])
                    p.addcdiv_(state["exp_avg"], root, value=-group["lr"] / (1 - beta1**t))

    return {"get_adamw_cls": lambda: AdamW}


@alternative("adamw", "all parameters at once with foreach operations")
def foreach():
    class AdamW(_Base):
        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                params = [p for p in group["params"] if p.grad is not None]
                if not params:
                    continue
                for p in params:
                    if not self.state[p]:
                        self.state[p].update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
                    self.state[p]["t"] += 1
                grads = [p.grad for p in params]
                m = [self.state[p]["m"] for p in params]
                v = [self.state[p]["v"] for p in params]
                (beta1, beta2), lr = group["betas"], group["lr"]
                torch._foreach_lerp_(m, grads, 1 - beta1)
                torch._foreach_mul_(v, beta2)
                torch._foreach_addcmul_(v, grads, grads, 1 - beta2)
                times = [self.state[p]["t"] for p in params]
                roots = torch._foreach_div(v, [1 - beta2**t for t in times])
                torch._foreach_sqrt_(roots)
                torch._foreach_add_(roots, group["eps"])
                torch._foreach_mul_(params, 1 - lr * group["weight_decay"])
                torch._foreach_addcdiv_(params, m, roots, [-lr / (1 - beta1**t) for t in times])

    return {"get_adamw_cls": lambda: AdamW}
