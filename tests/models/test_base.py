"""What every model shares: evaluation mode for a while, and each part back in the mode that it was in."""

from torch import nn

from assay.models.base import evaluation_mode


def test_each_part_is_put_back_into_its_own_mode() -> None:
    frozen = nn.Dropout().eval()
    module = nn.Sequential(nn.Linear(2, 2), frozen)
    with evaluation_mode(module):
        assert not any(part.training for part in module.modules())
    assert module.training
    assert not frozen.training


def test_nothing_happens_without_a_module() -> None:
    with evaluation_mode(None):
        pass
