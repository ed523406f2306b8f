"""What training is, in plain PyTorch: read from top to bottom, it is the whole of it.

Nothing of the product is used but the rows of its plan and the weights with which it begins: the model is a function of a
dictionary of weights, the loss is written out, the gradient is autograd's. `test_reference_loop.py` demands that after some
epochs every weight equals the product's bit for bit (float32, CPU, one thread), so that whatever the product does besides
(accumulation, chunks of logits, hooks, schedules as configs) is proven to change nothing.

Two orders of operations had to be the product's: the maximum is taken from the logits before exp, and gradients are those of
a sum over targets, divided by their number at the end. The last is the same bits only where that number is a power of two.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class Rows(Protocol):
    """The batch of a step: tokens [B, T+1] and the weight [B, T] of each target."""

    tokens: Tensor
    weight: Tensor


class Recipe(NamedTuple):
    """The settings of the run."""

    steps: int
    heads: int
    lr: float
    warmup: int
    final: float  # share of the rate at the end of the cosine
    clip: float
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.1
    rope_base: float = 10_000.0


def rotate(x: Tensor, base: float) -> Tensor:
    """x [B, T, H, K] by the angles t base^(-2m/K): features m and m + K/2 are a pair."""
    half = x.shape[-1] // 2
    exponent = torch.arange(0, 2 * half, 2, dtype=torch.float64) / (2 * half)
    angle = torch.arange(x.shape[1], dtype=torch.float64)[:, None, None] * base**-exponent  # [T, 1, K/2]
    cosine, sine = angle.cos().float(), angle.sin().float()
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


def logits(w: Mapping[str, Tensor], tokens: Tensor, recipe: Recipe) -> Tensor:
    """tokens [B, T] -> [B T, V]: a decoder with norms before its branches, rotary positions and a tied head."""
    x = w["embedding.weight"][tokens]  # [B, T, D]
    B, T, D = x.shape  # noqa: N806
    depth = 1 + max(int(name.split(".")[1]) for name in w if name.startswith("blocks."))
    for layer in range(depth):
        p = {name.removeprefix(f"blocks.{layer}."): weight for name, weight in w.items()}
        y = F.layer_norm(x, (D,), p["mixer_norm.weight"], p["mixer_norm.bias"])
        qkv = F.linear(y, p["mixer.project.weight"], p["mixer.project.bias"]).view(B, T, 3, recipe.heads, D // recipe.heads)
        q, k, v = rotate(qkv[:, :, 0], recipe.rope_base), rotate(qkv[:, :, 1], recipe.rope_base), qkv[:, :, 2]
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True)
        x = x + F.linear(y.transpose(1, 2).reshape(B, T, D), p["mixer.output.weight"], p["mixer.output.bias"])
        y = F.layer_norm(x, (D,), p["feedforward_norm.weight"], p["feedforward_norm.bias"])
        y = F.gelu(F.linear(y, p["feedforward.expand.weight"], p["feedforward.expand.bias"]))
        x = x + F.linear(y, p["feedforward.contract.weight"], p["feedforward.contract.bias"])
    x = F.layer_norm(x, (D,), w["readout.norm.weight"], w["readout.norm.bias"])
    return F.linear(x.flatten(0, 1), w["embedding.weight"])


def loss(w: Mapping[str, Tensor], rows: Rows, recipe: Recipe) -> Tensor:
    """The mean over the targets of -ln softmax(z)[target], in nats."""
    tokens, weight = rows.tokens, rows.weight.flatten()
    z = logits(w, tokens[:, :-1], recipe)
    z = z - z.detach().amax(-1, keepdim=True)
    nll = z.exp().sum(-1).log() - z.gather(-1, tokens[:, 1:].reshape(-1, 1)).squeeze(-1)
    return (nll * weight).sum() / float(weight.sum())


def rate(step: int, recipe: Recipe) -> float:
    """The learning rate of a step: a line up, times half a cosine down to `final`."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return recipe.lr * (min(1.0, (step + 1) / recipe.warmup) * (recipe.final + (1 - recipe.final) * cosine))


def train(start: Mapping[str, Tensor], rows: Callable[[int], Rows], recipe: Recipe) -> tuple[dict[str, Tensor], list[float]]:
    """The weights after the last step, and the loss of every step."""
    w = {name: weight.detach().clone().requires_grad_() for name, weight in start.items()}
    matrices, vectors = ([x for x in w.values() if (x.ndim > 1) is decays] for decays in (True, False))
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas, eps=recipe.eps, fused=True)
    losses = []
    for step in range(recipe.steps):
        value = loss(w, rows(step), recipe)
        value.backward()
        torch.nn.utils.clip_grad_norm_(w.values(), recipe.clip)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, recipe)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(value.item())
    return {name: weight.detach() for name, weight in w.items()}, losses
