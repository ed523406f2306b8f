"""A run as an object: equal, picklable, shown, and asked for its figures, its model and its curves."""

import builtins
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import assay
from assay.errors import RunError, UserError
from assay.runs.directory import STATUS
from support.workshop import Workshop, make_workshop, use


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return make_workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def run(made: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> assay.Run:
    """A run of 20 steps that the test may change."""
    use(monkeypatch, tmp_path)
    monkeypatch.setenv("ASSAY_CACHE", str(made.folder / "cache"))
    monkeypatch.setenv("MPLBACKEND", "agg")
    shutil.copytree(made.runs, tmp_path / "runs")
    return assay.Run(tmp_path / "runs" / made.run.name)


def test_runs_are_equal_where_their_folders_are(run: assay.Run, tmp_path: Path) -> None:
    assert assay.load(run.path) == run
    assert {assay.load(run.path), run} == {run}
    other = tmp_path / "runs" / "other"
    shutil.copytree(run.path, other)
    assert assay.load(other) != run


def test_a_run_holds_in_another_working_directory(made: Workshop, run: assay.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_RUNS")
    monkeypatch.chdir(tmp_path)
    found = assay.train(made.recipe, budget="1steps", data_dir="data")
    assert repr(found).startswith(f"Run('{Path('runs', found.name)}', finished")
    monkeypatch.chdir("/")
    assert found.status.state == "finished"
    assert found.data_dir == tmp_path / "data"
    assert assay.load(found.path) == found
    assert assay.load(found.path).data_dir is None
    assert found in assay.list_runs(tmp_path / "runs")


def test_a_prompt_is_text_or_bytes(run: assay.Run) -> None:
    assert run.sample(b"And", tokens=5) == run.sample("And", tokens=5)
    assert "".join(run.stream(b"And", tokens=5)) == run.sample("And", tokens=5)[0]


def test_a_model_is_loaded_from_a_run_as_from_its_directory(run: assay.Run) -> None:
    found, expected = assay.load_model(run), assay.load_model(run.path)
    assert found.tokenizer.digest == expected.tokenizer.digest
    assert all(torch.equal(one, other) for one, other in zip(found.model.parameters(), expected.model.parameters(), strict=True))


def test_a_run_survives_pickling(run: assay.Run) -> None:
    again = pickle.loads(pickle.dumps(run))
    assert again == run
    assert again.metrics() == run.metrics()


def test_a_run_is_one_line_in_a_terminal(run: assay.Run) -> None:
    bits = run.status.metrics["bits_per_byte"]
    assert repr(run) == f"Run('{run.path}', finished at step 20 of 20, {bits:.4f} bits per byte)"
    run.directory.write_json(STATUS, {"state": "interrupted", "step": 3, "steps": None, "failure": "interrupted", "error": None})
    assert repr(run) == f"Run('{run.path}', interrupted at step 3)"


def test_a_notebook_shows_a_table_with_the_curve(run: assay.Run) -> None:
    shown = run._repr_html_()
    bits = run.status.metrics["bits_per_byte"]
    assert shown.startswith("<table>")
    assert f"{bits:.4f} ± " in shown
    assert shown.count("<svg") == shown.count("</svg>") == 1
    assert shown.count(",") >= 5, "a point for each of the five validations"
    assert all(f"{name}</th><td>{bits:.4f} bits per byte" in shown for name, bits in run.measure_baselines().by_label().items())


def test_a_notebook_shows_markup_in_names_and_errors_as_text(run: assay.Run, tmp_path: Path) -> None:
    place = tmp_path / "<script>alert(1)"
    shutil.copytree(run.path, place)
    found = assay.load(place)
    found.directory.update_status(state="failed", failure="error", error="<b>&'\"</b>")
    shown = found._repr_html_()
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "&lt;script&gt;" in shown
    assert "&lt;b&gt;&amp;" in shown


@pytest.mark.parametrize("status", [{"state": "created", "step": 0}, {"state": "running", "step": 4, "steps": 20}])
def test_a_run_that_is_not_finished_is_shown_too(run: assay.Run, status: dict[str, Any]) -> None:
    run.directory.write_json(STATUS, status)
    (run.path / "metrics.jsonl").unlink()
    assert status["state"] in run._repr_html_()
    assert run.metrics() == []
    assert run.status.metrics == {}


def test_the_frame_has_a_row_a_line(run: assay.Run) -> None:
    frame = run.frame()
    assert len(frame) == len(run.metrics())
    curve = frame.set_index("step")["validation.bits_per_byte"].dropna()
    assert curve.to_dict() == {line["step"]: line["validation"]["bits_per_byte"] for line in run.metrics() if "validation" in line}


@pytest.mark.parametrize(("package", "ask"), [("pandas", "frame"), ("matplotlib", "plot")])
def test_a_package_that_is_missing_is_a_sentence(run: assay.Run, monkeypatch: pytest.MonkeyPatch, package: str, ask: str) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=f"^run.{ask}: needs {package}; install it with: [^\n]*pip install [^\n]*$"):
        getattr(run, ask)()


def test_a_curve_is_drawn_over_steps_tokens_or_epochs(run: assay.Run) -> None:
    axes = run.plot()
    steps, bits = np.asarray(axes.lines[0].get_data())
    assert steps.tolist() == [4, 8, 12, 16, 20]
    assert bits.tolist() == [line["validation"]["bits_per_byte"] for line in run.metrics() if "validation" in line]
    same = run.plot("training", "loss", x="tokens", axes=axes)
    assert same is axes
    assert np.asarray(axes.lines[1].get_xdata()).tolist() == [line["targets"] for line in run.metrics() if "targets" in line]
    assert run.plot(x="epoch").get_xlabel() == "epoch"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            {"split": "test"},
            "run.plot: draws training, validation, full_validation or training_score over step, tokens, epoch, not 'test' over 'step'",
        ),
        ({"x": "hours"}, "not 'validation' over 'hours'"),
        ({"metric": "perplexity"}, "has no validation metric 'perplexity'; see the keys of run.metrics()"),
    ],
)
def test_a_curve_that_is_not_there_is_refused(run: assay.Run, asked: dict[str, str], says: str) -> None:
    with pytest.raises(UserError) as refused:
        run.plot(**asked)  # type: ignore[arg-type]
    assert says in str(refused.value)


KINDS = [np.uint8, np.uint16, np.int32, np.int64, torch.uint8, torch.int16, torch.int32, torch.int64]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_model_takes_ids_of_any_integer_type(run: assay.Run, kind: Any) -> None:
    model = run.model()
    ids = run.tokenizer.encode([b"line 7"])[0][None]
    expected = model(torch.from_numpy(ids.astype(np.int64))).logits
    given = torch.from_numpy(ids.astype(np.int64)).to(kind) if isinstance(kind, torch.dtype) else ids.astype(kind)
    assert torch.equal(model(given).logits, expected)
    assert expected.shape == (1, ids.shape[1], run.tokenizer.vocab_size)


def test_a_model_takes_a_list_and_comes_in_evaluation_mode(run: assay.Run) -> None:
    model = run.model("last")
    assert not model.training
    assert torch.equal(model([[1, 2, 3]]).logits, model(torch.tensor([[1, 2, 3]])).logits)
    with pytest.raises(RunError, match="no checkpoint"):
        run.model("17")


def test_the_model_s_logits_give_the_score_of_the_run(run: assay.Run) -> None:
    """Scoring the model as somebody else's gives the figure of the same windows."""
    model, tokenizer = run.model(), run.tokenizer
    text = [f"line {number} — naïve" for number in range(40)]
    found = assay.score(lambda ids: model(ids).logits, tokenizer, "\n".join(text), context=16, start=tokenizer.end_id)
    assert 5 < found.bits_per_byte < 9
    assert found.bytes_scored == found.bytes_in_split


def test_tokens_stand_for_the_bytes_they_came_from(run: assay.Run) -> None:
    texts = ["naïve —".encode(), b"", b"\x00\xff"]
    assert [run.tokenizer.decode(ids) for ids in run.tokenizer.encode(texts)] == texts


def test_baselines_are_measured_once_and_kept(run: assay.Run) -> None:
    kept = run.baselines
    assert kept is not None
    (run.path / "baselines.json").unlink()
    assert run.baselines is None
    run.measure_baselines()
    assert run.baselines == kept


def test_a_status_that_is_lost_is_unknown(run: assay.Run) -> None:
    (run.path / STATUS).write_text("{", encoding="utf-8")
    assert run.status.state == "unknown"
    assert "unknown" in repr(run)


def test_a_run_directory_may_move(run: assay.Run, tmp_path: Path) -> None:
    place = run.path.rename(tmp_path / "moved")
    moved = assay.load(place)
    assert moved.score().bits_per_byte == pytest.approx(moved.status.metrics["bits_per_byte"], abs=1e-9)
    assert moved.resume("train.budget=22steps").status.step == 22


def test_a_finished_run_that_is_resumed_stays_as_it_was(run: assay.Run) -> None:
    before = run.status
    after = run.resume().status
    assert (after.state, after.step) == ("finished", 20)
    assert after.metrics["bits_per_byte"] == before.metrics["bits_per_byte"]
