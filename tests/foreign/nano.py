"""A model as a student writes it, right or with one fault, and a text for it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TEXT = "In the beginning God created the heaven and the earth.\nAnd the earth was without form, and void — naïve 🙂.\n" * 8
CHARACTERS = sorted(set(TEXT))
V = len(CHARACTERS)


class Nano(nn.Module):
    """One layer of attention; `fault` names what is wrong with it."""

    def __init__(self, fault: str = "", vocabulary: int = V, width: int = 16) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fault = fault
        self.token, self.place = nn.Embedding(vocabulary, width), nn.Embedding(64, width)
        self.qkv, self.out, self.head = nn.Linear(width, 3 * width), nn.Linear(width, width), nn.Linear(width, vocabulary)
        self.norm = nn.BatchNorm1d(width, track_running_stats=False)
        self.dropout = nn.Dropout(0.1)
        self.register_buffer("calls", torch.zeros(()))
        self.memory = torch.zeros(())

    def forward(self, ids: Tensor) -> Tensor:
        """[B, T, V]."""
        time = ids.shape[1]
        x = self.dropout(self.token(ids) + self.place.weight[:time])
        x = self.faulty(ids, x + self.out(self.attend(*self.qkv(x).chunk(3, -1))))
        logits = self.head(x)
        if self.fault == "probabilities":
            return logits.softmax(-1)
        if self.fault == "normalised":
            return logits.log_softmax(-1)
        return logits[:, [-1]] if self.fault == "last_position_only" else logits

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Causal attention, or with its mask a place too far, or over the wrong axis."""
        if self.fault == "looks_ahead":
            time = q.shape[1]
            return F.scaled_dot_product_attention(q, k, v, attn_mask=torch.ones(time, time, dtype=torch.bool).tril(1))
        if self.fault == "mixes_rows":
            q, k, v = (x.transpose(0, 1) for x in (q, k, v))
            return F.scaled_dot_product_attention(q, k, v).transpose(0, 1)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    def faulty(self, ids: Tensor, x: Tensor) -> Tensor:
        """The hidden states with what else can go wrong."""
        time = x.shape[1]
        if self.fault == "changes_state":
            x, self.memory = x + self.memory, x.mean()
        if self.fault == "buffer":
            self.calls += 1
        if self.fault == "refuses_length" and time % 2:
            raise RuntimeError("only even lengths")
        makes = {
            "batch_norm": lambda: self.norm(x.transpose(1, 2)).transpose(1, 2),
            "not_deterministic": lambda: F.dropout(x, 0.1),
            "depends_on_length": lambda: x / time,
            "depends_on_batch": lambda: x * len(x),
            "depends_on_padding": lambda: x * (1 + (ids == 0).any(1).view(-1, 1, 1)),
            "non_finite": lambda: x.masked_fill(torch.arange(time).view(-1, 1) == 5, torch.nan),
            "ignores_past": lambda: self.token(ids),
        }
        return makes.get(self.fault, lambda: x)()
