"""The measuring: that it trains what it says, in Assay's own way, and counts it rightly."""

import math
import sys

import numpy as np
import pytest
import torch

from assay.core.devices import MatmulSpeed
from assay.errors import UserError
from assay.experiment.summary import summarize_experiment
from assay.tools import bench_process as bench
from assay.tools.bench_process import (
    BENCH_MODELS,
    STEPS_PER_EPOCH,
    WARM_STEPS,
    BenchModel,
    Measurement,
    make_experiment_config,
    make_random_text,
    measure_peak,
    measure_training,
    resolve_format_and_device,
    select_models,
)
from assay.tools.contention import Contention
from assay.training import timing
from assay.training.loop import train_step

TINY = BenchModel("T", "tiny", depth=2, heads=2, width=16, window=8, batch=4, vocabulary=11, dropout=0.25)


@pytest.mark.parametrize(("name", "millions"), [("C1", 5.2), ("C2", 57.6), ("C3", 265)])
def test_the_configurations_cost_what_they_are_known_to(name: str, millions: float) -> None:
    configuration = BENCH_MODELS[name]
    described = summarize_experiment(make_experiment_config(configuration, "float32", "cpu"), configuration.vocabulary)
    flops = 6 * described.parameters_total + 12 * configuration.depth * configuration.width * configuration.window
    assert flops / 1e6 == pytest.approx(millions, rel=0.012)
    assert described.window == configuration.window
    assert described.rows == configuration.batch


def test_dropout_is_everywhere_where_gpt2_has_it_and_the_update_is_adamw_clipped_at_1() -> None:
    config = make_experiment_config(TINY, "bf16", "cpu")
    tree = config.to_dict()
    assert tree["model"]["embedding_dropout"] == tree["model"]["block"]["mixer"]["dropout"] == 0.25
    assert tree["model"]["block"]["mixer_dropout"] == tree["model"]["block"]["feedforward_dropout"] == 0.25
    assert (tree["optimizer"]["kind"], tree["train"]["clip"], tree["train"]["precision"]) == ("adamw", 1.0, "bf16")


def test_random_tokens_fill_whole_batches_and_use_the_vocabulary() -> None:
    prepared = make_random_text(TINY)
    part = prepared.parts["train"]
    assert set(np.unique(part.tokens)) == set(range(TINY.vocabulary))
    assert prepared.tokenizer.vocab_size == TINY.vocabulary
    config = make_experiment_config(TINY, "float32", "cpu")
    plan = config.batches.build(part, prepared.tokenizer.end_id, 0, "")
    assert plan.steps_per_epoch == STEPS_PER_EPOCH
    for step in (0, STEPS_PER_EPOCH - 1, STEPS_PER_EPOCH):
        assert plan.batch_at(step).weight.shape == (TINY.batch, TINY.window)
        assert plan.batch_at(step).targets == TINY.tokens
    assert np.array_equal(part.tokens, make_random_text(TINY).parts["train"].tokens)


def test_steps_are_those_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, seen = [], {}

    def watched(state: object, setup: object) -> object:
        result = train_step(state, setup)
        steps.append(result.terms["loss"].mean)
        seen["learner"] = state.learner
        return result

    monkeypatch.setattr(timing, "train_step", watched)
    found = measure_training(TINY, "float32", "cpu", steps=10)
    assert len(steps) == WARM_STEPS + 10
    assert len(found.seconds) == 10
    assert all(float(mean.count) == TINY.tokens for mean in steps)
    assert float(steps[0].value()) == pytest.approx(math.log(TINY.vocabulary), abs=0.3)
    assert found.parameters == sum(parameter.numel() for parameter in seen["learner"].parameters())
    assert found.flops_per_token == 6 * found.parameters + 12 * 2 * 16 * 8
    if sys.platform == "linux":
        assert found.peak_memory is not None


def test_without_a_number_of_steps_it_measures_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SECONDS", 0.0)
    assert len(measure_training(TINY, "float32", "cpu").seconds) == bench.MIN_STEPS
    clock = iter(float(second) for second in range(1000))
    monkeypatch.setattr(bench, "SECONDS", 100.0)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))  # each look at it is a second later
    assert 20 < len(measure_training(TINY, "float32", "cpu").seconds) < 100


def test_rates_are_of_the_steps_and_the_share_is_at_the_median() -> None:
    found = Measurement(TINY, [0.1, 0.2, 0.4, 0.8, 1.6], 100, 1000, None, Contention(unknown="the counters stand still"))
    low, median, high = found.rates
    assert median == pytest.approx(TINY.tokens / 0.4)
    assert low == pytest.approx(np.percentile([TINY.tokens / s for s in found.seconds], 10))
    assert low < TINY.tokens / 0.8 < TINY.tokens / 0.2 < high
    assert found.flops == pytest.approx(1000 * TINY.tokens / 0.4)
    assert found.contention.disturbed is None


def test_the_peak_is_that_of_the_number_format_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "measure_matmul_speed", lambda precision, device, seconds: MatmulSpeed(len(precision), 256, 3))
    assert measure_peak("bf16", "cpu")[:3] == (4, 256, 3)
    assert measure_peak("float32", "cpu").flops == 7


def test_configurations_are_chosen_by_name_and_each_once() -> None:
    assert [one.name for one in select_models(["c3", "C1", "C3"])] == ["C3", "C1"]
    assert [one.name for one in select_models([])] == ["C1", "C2", "C3"]
    with pytest.raises(UserError, match="no configuration 'C9'; known are: C1, C2, C3"):
        select_models(["C1", "C9"])
    with pytest.raises(UserError, match="did you mean 'bf16'"):
        resolve_format_and_device("bf61", "cpu")
    with pytest.raises(UserError, match="no device 'meta' here; this machine has cpu"):
        resolve_format_and_device("float32", "meta")


def test_a_gpu_without_bf16_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "resolve_device", torch.device)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(UserError, match=r"--precision: cuda does not compute in bfloat16 .*; use fp16, float32 or auto"):
        resolve_format_and_device("bf16", "cuda")
    assert resolve_format_and_device("auto", "cuda") == ("float32", torch.device("cuda"))
    with pytest.raises(UserError, match="--precision: tf32 is a format of NVIDIA's GPUs"):
        resolve_format_and_device("tf32", "cpu")
