"""The costs of an arm, from its config and the vocabulary of its text. The model is built to count them, without holding weights."""

import json
from functools import lru_cache
from typing import NamedTuple

import torch

from assay.core.cache import get_or_compute
from assay.core.torch_internals import FakeTensorMode
from assay.core.trees import digest
from assay.experiment import summary
from assay.experiment.assemble import refuse_mismatch
from assay.experiment.config import ExperimentConfig
from assay.experiment.vocabulary import vocabulary_size
from assay.nn.linear import parameters_by_role
from assay.runs.provenance import code_version
from assay.training.cost import step_flops
from assay.training.learner import Learner


class Costs(NamedTuple):
    """The parameters, FLOPs and state of an arm."""

    parameters: int
    flops_per_token: int
    state_bytes: int


def count_parameters(config: ExperimentConfig) -> int:
    """Count the model's parameters. Raises ConfigError where model, batches, objective and optimiser do not fit each other."""
    return _count_built(config.replace(train=config.train.replace(seed=0, budget="1steps")).model_dump_json(), vocabulary_size(config))


@lru_cache(maxsize=4096)
def _count_built(text: str, vocabulary: int) -> int:
    config = ExperimentConfig.make(json.loads(text))
    with FakeTensorMode():
        model = config.model.build(vocabulary, torch.Generator().manual_seed(0))
        refuse_mismatch(config, model)
        learner = Learner(model, config.objective, torch.Generator().manual_seed(0))
        config.optimizer.build(list(parameters_by_role(learner)))
        config.schedule.build(config.batches.size)
    return sum(parameter.tensor.numel() for parameter in parameters_by_role(model))


def measure_costs(config: ExperimentConfig) -> Costs:
    """Measure parameters, FLOPs of training a token and bytes of state: traced once, then kept in the cache."""
    key = digest([code_version(), config.model.to_dict(), config.objective.to_dict(), vocabulary_size(config), config.batches.window])[:32]

    def trace() -> dict[str, int]:
        train = config.train.replace(accumulation=1, noise_scale=False)  # which is measured between micro-batches, and costs nothing
        subject = summary.summarize_experiment(config.replace(batches=config.batches.replace(size=1), train=train))
        return Costs(subject.parameters_total, subject.flops_per_token_training, subject.state_bytes)._asdict()

    return Costs(**get_or_compute("costs", key, trace))


def count_step_flops(config: ExperimentConfig) -> int:
    """Count the FLOPs of one step, as a run with a budget in FLOPs counts them."""
    shape = (config.batches.size, config.batches.window)
    return step_flops(config.model, config.objective, vocabulary_size(config), shape)
