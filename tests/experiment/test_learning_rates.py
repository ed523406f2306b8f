"""The learning rates that `assay show` prints are those that a run's optimiser and schedule have."""

from pathlib import Path

import pytest

import assay
from assay.core.config import FAMILIES
from assay.experiment.learning_rates import compute_learning_rates
from assay.experiment.summary import summarize
from assay.nn.linear import parameters_by_role
from assay.views.configs import describe_learning_rates
from support.experiment import build, write_recipe, write_text

MUP = ("model.width=32", "model.init={kind=mup, base_width=16, base_head_size=8}")
EACH = "embedding, vector, matrix "
BATCH = ("schedule.batch_rule=sqrt", "schedule.reference_batch=16")  # of 4 rows: half the rate


def rates_of(text: Path, *overrides: str) -> dict[str, tuple[float, ...]]:
    experiment = build(text, *overrides)
    rates = compute_learning_rates(experiment.config, list(parameters_by_role(experiment.state.learner)))
    assert rates is not None
    return rates.highest


@pytest.mark.parametrize(
    "overrides", [(), MUP, (*MUP, *BATCH), ("optimizer.rates.embedding=0.5",), ("optimizer=muon", "optimizer.rest.lr=0.5", *BATCH)]
)
def test_they_are_those_of_the_groups_times_the_factor_of_the_schedule(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    experiment = build(write_text(tmp_path), *overrides)
    parameters = list(parameters_by_role(experiment.state.learner))
    rates = compute_learning_rates(experiment.config, parameters)
    factor = max(experiment.setup.schedule.factor(step, step / 20) for step in range(20))
    used: dict[str, set[float]] = {}
    role_of = {id(parameter.tensor): parameter.role for parameter in parameters}
    for part in experiment.state.optimizer.parts.values():
        for group in part.param_groups:
            for tensor in group["params"]:
                used.setdefault(role_of[id(tensor)], set()).add(float(group["lr"]) * factor)
    assert rates is not None
    assert rates.highest.keys() == used.keys()
    for role, found in rates.highest.items():
        assert found == pytest.approx(sorted(used[role]))


@pytest.mark.parametrize("kind", sorted(set(FAMILIES["optimizer"].kinds) - {"library"}))
def test_every_optimiser_says_them(tmp_path: Path, kind: str) -> None:
    assert rates_of(write_text(tmp_path), f"optimizer={{kind={kind}}}").keys() >= {"matrix", "embedding"}


def test_the_highest_is_that_which_a_run_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_RUNS", str(tmp_path / "runs"))
    recipe = write_recipe(tmp_path, write_text(tmp_path), *BATCH, "train.log_every=1steps", "schedule.warmup=10")
    rates = summarize(str(recipe), [], None).learning_rates
    assert rates is not None
    logged = [line["lr"]["adamw"] for line in assay.train(recipe).metrics() if "lr" in line]
    assert rates.highest["matrix"] == (max(logged),)
    assert rates.last_share == pytest.approx(logged[-1] / max(logged))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (("schedule=constant",), EACH + "0.01 at the highest and at the end"),
        (("schedule=linear", "train.budget=3epochs"), EACH + "0.01 at the highest, 0 at the end"),
        (("schedule=inverse_sqrt", "schedule.warmup=9", "train.budget=3epochs"), EACH + "0.01 at the highest"),
        (("schedule={kind=cosine, final=0.1}", "train.budget=3epochs"), EACH + "0.01 at the highest, 0.1 of that at the end"),
        (("schedule=constant", *BATCH), EACH + "0.005 at the highest and at the end; schedule.batch_rule has multiplied them by 0.5"),
    ],
)  # fmt: skip
def test_they_are_described_with_their_course(tmp_path: Path, overrides: tuple[str, ...], says: str) -> None:
    summary = summarize(str(write_recipe(tmp_path, write_text(tmp_path), *overrides)), [], None).to_dict()
    assert describe_learning_rates(summary["learning_rates"]) == says


def test_mup_shows_its_rate_of_the_matrices(tmp_path: Path) -> None:
    summary = summarize(str(write_recipe(tmp_path, write_text(tmp_path), *MUP)), [], None).to_dict()
    assert "embedding, vector 0.00951; matrix 0.004755 at" in describe_learning_rates(summary["learning_rates"])


def test_a_preset_has_no_learning_rate() -> None:
    assert summarize("gpt2-tiny", [], None).learning_rates is None
