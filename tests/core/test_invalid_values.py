"""A value that is refused is told what to write."""

import pytest
import torch

from assay.errors import ConfigError
from assay.experiment.config import ExperimentConfig


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("model.width=0", "give 1 or more"),
        ("model.depth=-1", "give 0 or more"),
        ("optimizer.lr=0", "give more than 0"),
        ("split.validation=1", "give less than 1"),
        ("train.accumulation=100000", "give 65536 or less"),
        ("batches.size=x", "write a whole number"),
        ("optimizer.lr=fast", "write a number"),
        ("train.compile=maybe", "write true or false"),
        ("train.device=3", "write a word"),
        ("model.pattern=3", "write a list"),
        ("model.depth=0", "raise it, or set model.position=none"),
        ("train.budget=5", "did you mean 5steps?"),
        ("budget=5", "did you mean 'train.budget'?"),
        ("model.block.mixer=atention", "did you mean 'full'?"),
    ],
)
def test_a_refused_value_names_the_remedy(override: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as refused:
        ExperimentConfig.load("bible", [override]).model.build(300, torch.Generator())
    assert remedy in str(refused.value)
