"""What the heads of deep supervision add to a training step.

    python benchmarks/auxiliary_heads.py [--threads 1] [--rounds 5]

A decoder of T12's size with 8 heads and no dropout (12 layers, width 512, context 512, 256 tokens, 2 rows) is trained with the next token
alone, with 11 intermediate classifiers, and with those and the token after the next: 23. Forward, backward and AdamW; rounds take turns.
Given are the shortest step of each, in seconds of the clock and of the processor, which other processes on the machine disturb less.
"""

import argparse
import time
from contextlib import nullcontext

import torch

from assay.core.types import Batch, TrainingProgress
from assay.models.decoder import DecoderConfig
from assay.objective.base import NextTokenConfig, ObjectiveConfig
from assay.objective.deep_supervision import DeepSupervisionConfig
from assay.training.learner import Learner

ROWS, WINDOW, VOCABULARY = 2, 512, 256
MODEL = {
    "width": 512,
    "depth": 12,
    "block": {"mixer": {"kind": "full", "heads": 8}, "feedforward": {"kind": "mlp", "hidden": 2048, "activation": "relu"}},
    "position": {"kind": "per_layer", "length": WINDOW},
    "head": {"tied": False},
}
OBJECTIVES: dict[str, ObjectiveConfig] = {
    "next token": NextTokenConfig(),
    "11 heads": DeepSupervisionConfig(),
    "23 heads": DeepSupervisionConfig(targets=2),
}
AT = TrainingProgress(0, 0.0, float(ROWS * WINDOW), ROWS)


class Trainer:
    """One objective with a model of its own, trained step by step."""

    def __init__(self, objective: ObjectiveConfig, *, bfloat16: bool) -> None:
        model = DecoderConfig.make(MODEL).build(VOCABULARY, torch.Generator().manual_seed(0))
        self.learner, self.bfloat16 = Learner(model, objective), bfloat16
        self.optimizer = torch.optim.AdamW(self.learner.parameters(), lr=1e-4)
        tokens = torch.randint(VOCABULARY, (ROWS, WINDOW + 1), generator=torch.Generator().manual_seed(1))
        self.batch = Batch(tokens, torch.ones(ROWS, WINDOW), None, torch.ones(ROWS, dtype=torch.bool))

    def step(self) -> tuple[float, float]:
        """Seconds of the clock and of the processor that a step takes."""
        wall, processor = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", torch.bfloat16) if self.bfloat16 else nullcontext():
            total = self.learner(self.batch, AT).total
        total.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for bfloat16 in (True, False):
        trainers = {name: Trainer(objective, bfloat16=bfloat16) for name, objective in OBJECTIVES.items()}
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in trainers}
        for _ in range(options.rounds + 1):
            for name, trainer in trainers.items():
                taken[name].append(trainer.step())
        best = {name: [min(column) for column in zip(*steps[1:], strict=True)] for name, steps in taken.items()}  # the first warms up
        plain = best["next token"]
        for name, (wall, processor) in best.items():
            more = f"{100 * (wall / plain[0] - 1):+.0f} %, {100 * (processor / plain[1] - 1):+.0f} %"
            print(f"{'bf16' if bfloat16 else 'fp32'}  {name:<10}  {wall:6.3f} s wall  {processor:6.3f} s processor  {more}", flush=True)


if __name__ == "__main__":
    main()
