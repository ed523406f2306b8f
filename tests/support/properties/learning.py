"""What training can reach: every parameter, every setting, every token of a batch."""

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from assay.core.parallel import Parallel
from assay.core.types import TrainingProgress
from assay.models.base import Model
from assay.objective.base import ObjectiveConfig
from assay.training.loop import StepCounts
from support.broken import registered, toy
from support.kinds import Case, Variation, case_of
from support.tiny import AT, V, assert_equal, batch, fresh, learner, tokens


def gradient_reach(case: Case) -> None:
    """Within three steps of the real objective every parameter has had a finite gradient that is not zero."""
    model = fresh(case.model).train()
    trained = learner(case, model)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-2)
    silent = {name for name, _ in trained.named_parameters()}
    for _ in range(3):
        optimizer.zero_grad()
        trained(batch(), AT).total.backward()
        for name, parameter in trained.named_parameters():
            if parameter.grad is not None:
                assert torch.isfinite(parameter.grad).all(), f"the gradient of {name} is not finite"
                if parameter.grad.abs().max() > 0:
                    silent.discard(name)
        optimizer.step()
    assert not silent, f"no gradient reaches {', '.join(sorted(silent))}"


def settings_bite(variation: Variation) -> None:
    """Another value of a field shows where the field says: at the output, in training, or in the cost."""
    if isinstance(variation.base.leaf, ObjectiveConfig) and variation.path == "weights":
        with registered():
            return settings_bite(_weight_of_a_reported_loss(variation))
    assert not variation.problem, f"{variation}: {variation.problem}"
    base, changed = variation.base, variation.changed
    assert changed is not None
    if variation.bites in ("data", "report"):
        return None
    assert variation.bites in ("output", "training", "cost"), f"bites={variation.bites!r} is not known"
    assert base.leaf != changed.leaf, "the second value is the first"
    first, second = fresh(base.model), fresh(changed.model)
    if variation.bites == "training":
        seen = _differ(_trained(base, first), _trained(changed, second))
    else:
        seen = _differ(_logits(first), _logits(second))
        if variation.bites == "cost":
            seen = seen or _size(first) != _size(second) or _flops(first) != _flops(second)
    assert seen, f"{variation}: nothing of its {variation.bites} changes in {changed}"
    return None


def _weight_of_a_reported_loss(variation: Variation) -> Variation:
    """The field `weights` of an objective, in a model whose mixers report a loss."""
    leaf, model = variation.base.leaf, toy("Reporting").model
    heavier = leaf.replace(weights={name: 2 * weight + 1 for name, weight in fresh(model).aux_loss_weights.items()})
    base, changed = (replace(case_of(part), model=model) for part in (leaf, heavier))
    return replace(variation, base=base, changed=changed, path="weights of a reported loss", problem="")


def _differ(first: Tensor, second: Tensor) -> bool:
    return first.shape != second.shape or float((first - second).abs().max()) > 1e-9


@torch.no_grad()
def _logits(model: Model) -> Tensor:
    return model(tokens()).logits


def _trained(case: Case, model: Model) -> Tensor:
    """All weights after two steps with gradient descent, early and late, each followed by what modules do after one."""
    trained = learner(case, model.train())
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.1)
    torch.manual_seed(0)
    for fraction in (0.2, 0.8):
        optimizer.zero_grad()
        tallies = StepCounts(trained)
        with tallies.count(batch().weight):
            learned = trained(batch(), AT._replace(fraction=fraction))
        learned.total.backward()
        optimizer.step()
        tallies.after_step(Parallel())
    return torch.cat([parameter.detach().flatten() for parameter in trained.parameters()])


def _size(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _flops(model: Model) -> int:
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH), counter:
        _ = model(tokens()).logits
    return counter.get_total_flops()


def initial_loss(case: Case) -> None:
    """A model that knows nothing loses about ln V nats."""
    model = fresh(case.model)
    loss = float(learner(case, model)(batch(), AT).terms["loss"].mean.value())
    assert abs(loss - math.log(V)) < 0.25, f"the first loss is {loss:.3f} and ln V is {math.log(V):.3f}"


def memorises(case: Case) -> None:
    """One batch of 4 x 32 tokens is learned by heart."""
    model = fresh(case.model, dtype=torch.float32).train()
    trained, rows = learner(case, model), batch(4, 32)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-2, betas=(0.9, 0.98), weight_decay=0.0)
    at = TrainingProgress(step=0, fraction=0.0, targets=4 * 32.0, rows=4)
    steps, loss = 400, math.inf
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * min(1.0, (step + 1) / 20) * (1 - step / steps)
        optimizer.zero_grad()
        learned = trained(rows, at)
        learned.total.backward()
        optimizer.step()
        loss = float(learned.terms["loss"].mean.value())
        if loss < 0.01:
            return
    raise AssertionError(f"after {steps} steps the loss is still {loss:.3f} nats")


def seeds(case: Case) -> None:
    """The weights follow from the generator alone: one seed, the same ones; another seed, others."""
    torch.manual_seed(5)
    one = fresh(case.model, seed=1).state_dict()
    torch.manual_seed(6)
    same, other = fresh(case.model, seed=1).state_dict(), fresh(case.model, seed=2).state_dict()
    for name, tensor in one.items():
        assert torch.equal(tensor, same[name]), f"{name} does not follow from the seed of the generator"
        drawn = tensor.is_floating_point() and tensor.numel() > 1 and tensor.std() > 0
        assert not drawn or name not in other or not torch.equal(tensor, other[name]) or _fixed(tensor), (
            f"{name} does not change with the seed"
        )
    assert any(not torch.equal(one[name], other[name]) for name in one), "no weight changes with the seed"


def _fixed(tensor: Tensor) -> bool:
    return tensor.ndim < 2  # a vector may begin at a fixed ramp; a matrix may not


def weights_round_trip(case: Case) -> None:
    """Another model with these weights loaded, strictly, is this model."""
    model = fresh(case.model, seed=1)
    other = fresh(case.model, seed=2)
    other.load_state_dict(model.state_dict(), strict=True)
    with torch.no_grad():
        assert_equal(model(tokens()).logits, other(tokens()).logits, "the model and its copy", within=0.0)
