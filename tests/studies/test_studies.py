"""Every study that ships can be planned at every scale it has, and is what its name says."""

import pytest

from assay.studies.file import list_bundled, list_scales
from assay.studies.plan import StudyPlan
from assay.studies.planning import make_plan

ALL = [(name, scale) for name in list_bundled() for scale in (None, *list_scales(name))]


def plan_of(name: str, scale: str | None = None) -> StudyPlan:
    return make_plan(name, scale, with_costs=False)


def test_eight_studies_ship_and_each_has_a_tiny_scale() -> None:
    assert list_bundled() == [
        "attention-on-titles", "harder", "lstm-or-transformer", "mainrun-attention", "more-layers", "things-we-can-modify",
        "things-we-can-modify-on-enwik8", "tokenizers-on-the-bible",
    ]  # fmt: skip
    assert all(list_scales(name) == ["tiny"] for name in list_bundled())


@pytest.mark.parametrize(
    ("name", "scale"), [pytest.param(*one, marks=() if one == ("harder", "tiny") else pytest.mark.slow) for one in ALL]
)
def test_every_study_plans_without_an_error_and_twice_alike(name: str, scale: str | None) -> None:
    plan = plan_of(name, scale)
    assert plan.refused == ()
    assert plan.study.report_on == "test"
    assert plan.study.question.endswith("?")
    assert len({job.run for job in plan.jobs}) == len(plan.jobs)
    assert [job.run for job in plan_of(name, scale).jobs] == [job.run for job in plan.jobs]


@pytest.mark.parametrize("name", list_bundled())
def test_the_tiny_scale_has_the_same_arms_on_a_smaller_text(name: str) -> None:
    whole, tiny = plan_of(name), plan_of(name, "tiny")
    assert len(tiny.arms) == len(whole.arms)
    assert tiny.arms[0].config.corpus != whole.arms[0].config.corpus
    assert max(arm.parameters for arm in tiny.arms) < 3_000_000


def test_cells_and_attention_have_equal_parameters_within_a_hundredth() -> None:
    for scale in (None, "tiny"):
        plan = plan_of("lstm-or-transformer", scale)
        wanted = plan.arms[0].parameters
        assert all(abs(arm.parameters - wanted) < 0.01 * wanted for arm in plan.arms)


def test_the_users_list_is_covered() -> None:
    keys = {key for arm in plan_of("things-we-can-modify").arms for key in arm.values}
    assert keys == {
        "batches.window", "batches.size", "model.block.mixer.heads", "model.block.mixer.head_size", "model.embedding_dropout",
        "model.block.mixer_dropout", "model.block.feedforward_dropout", "model.depth", "model.block.norm", "model.block.placement",
        "model.block.mixer.bias", "model.block.feedforward.bias", "model.head.bias", "model.head.tied", "model.width",
        "model.block.feedforward", "model.block.feedforward.activation", "model.block.residual", "schedule",
        "model.position", "model.init", "model.init.outputs", "optimizer", "optimizer.lr", "optimizer.rest.lr",
        "optimizer.weight_decay", "train.accumulation", "train.budget", "train.precision", "objective",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "optimizers"), [("things-we-can-modify", "adam ivon lion"), ("things-we-can-modify-on-enwik8", "adam ivon muon")]
)
def test_both_studies_of_one_by_one_ask_for_what_the_notes_name(name: str, optimizers: str) -> None:
    configs = [arm.config.to_dict() for arm in plan_of(name).arms]
    assert {config["optimizer"]["kind"] for config in configs} >= set(optimizers.split())
    assert {config["schedule"]["kind"] for config in configs} >= {"constant", "linear", "cosine", "wsd", "inverse_sqrt", "one_cycle"}
    assert {config["model"]["position"]["kind"] for config in configs} >= {"per_layer", "learned", "rope", "alibi", "none"}
    assert "glu" in {config["model"]["block"]["feedforward"]["kind"] for config in configs}
    activations = {config["model"]["block"]["feedforward"]["activation"]["kind"] for config in configs}
    assert {"gelu", "relu", "solu"} <= activations
    assert len({config["model"]["width"] for config in configs}) == 3


def test_the_attentions_of_mainrun_are_plain_bottleneck_and_sparse() -> None:
    mixers = [arm.config.to_dict()["model"]["block"]["mixer"] for arm in plan_of("mainrun-attention").arms]
    assert [mixer["kind"] for mixer in mixers] == ["full", "bottleneck", "bottleneck", "sparse", "sparse", "sparse"]
    assert {mixer["dropout"] for mixer in mixers} == {0.1}
