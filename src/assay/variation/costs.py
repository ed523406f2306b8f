"""What an arm is once it is built: whether it can be, and what it costs. Nothing is computed and no weights are held."""

import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch

from assay.core.config import digest
from assay.core.torch_internals import FakeTensorMode
from assay.experiment import describe
from assay.experiment.assemble import refuse_misfit
from assay.experiment.config import ExperimentConfig
from assay.nn.linear import parameters_by_role
from assay.runs.provenance import code_version
from assay.text.cache import cached
from assay.training.cost import step_flops
from assay.training.learner import Learner


class Costs(NamedTuple):
    """What `describe` knows of an arm."""

    parameters: int
    flops_per_token: int
    state_bytes: int


def built(config: ExperimentConfig) -> int:
    """The model's parameters. Raises ConfigError where model, plan, objective and optimiser do not fit each other."""
    return _built(config.changed(train=config.train.changed(seed=0, budget="1steps")).model_dump_json())


@lru_cache(maxsize=4096)
def _built(text: str) -> int:
    config = ExperimentConfig.make(json.loads(text))
    with FakeTensorMode():
        model = config.model.build(config.tokenizer.expected_size, torch.Generator().manual_seed(0))
        refuse_misfit(config, model)
        learner = Learner(model, config.objective, torch.Generator().manual_seed(0))
        config.optimizer.build(list(parameters_by_role(learner)))
        config.schedule.build(config.plan.batch)
    return sum(parameter.tensor.numel() for parameter in parameters_by_role(model))


def costs(config: ExperimentConfig) -> Costs:
    """Parameters, FLOPs of training a token, bytes of state: traced once, then kept in the cache."""
    key = digest([code_version(), config.model.tree(), config.objective.tree(), config.tokenizer.expected_size, config.plan.window])[:32]

    def trace(folder: Path) -> None:
        train = config.train.changed(accumulation=1, noise_scale=False)  # which is measured between micro-batches, and costs nothing
        subject = describe.of_experiment(config.changed(plan=config.plan.changed(batch=1), train=train))
        found = Costs(subject.total, subject.flops_training, subject.state)
        (folder / "costs.json").write_text(json.dumps(found._asdict()), encoding="utf-8")

    return Costs(**json.loads((cached("costs", key, trace) / "costs.json").read_text(encoding="utf-8")))


def flops_of_step(config: ExperimentConfig) -> int:
    """FLOPs of one step, as a run with a budget in FLOPs counts them."""
    shape = (config.plan.batch, config.plan.window)
    return step_flops(config.model, config.objective, config.tokenizer.expected_size, shape)
