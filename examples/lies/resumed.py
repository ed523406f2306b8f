"""Lie 6: a resume that reads the beginning of the text again, and a clock that forgets what it has to do.

A loader that is made anew with the same seed begins with the same batches: a run that is stopped often never reads the rest of the text.
A time left that is elapsed / steps x steps to go forgets validations to come and the scores at the end; and where the process was started
again, it divides the time since then by steps that were made before.
"""

from collections import Counter
from typing import Any, Literal

import assay
from assay.core.config import setting
from assay.core.types import Batch
from assay.data.batches import Batches
from assay.data.joined_documents import WindowBatches, WindowsConfig
from assay.text.token_files import TokenizedPart
from assay.training.clock import Clock
from lies.runs import Settings, Shown

TITLE = "A resume that replays, a clock that drifts"
STEPS, STOPS = 240, 3
VALIDATIONS, LINES = 4, 24  # in a run
FINAL_SCORES = 3  # that Assay expects at the end of a run: last, best, training text
COUNTED_AFTER = 0.1  # of a run: predictions before are not counted


class CountedConfig(WindowsConfig):
    """Windows that are counted when they are read; `forgetful` begins with the first batch whenever it is made."""

    kind: Literal["counted"] = "counted"
    forgetful: bool = setting(False, "begin with the first batch after a resume", alternative=True, affects="report")

    def build(self, part: TokenizedPart, end: int, seed: int, fingerprint: str) -> Batches:
        return Counted(self, part, end, seed, fingerprint)


class Counted(WindowBatches):
    """Counts how often each row was read."""

    def __init__(self, config: CountedConfig, *arguments: Any) -> None:
        super().__init__(config, *arguments)
        self.forgetful, self.seen = config.forgetful, Counter[bytes]()
        self.began: int | None = None  # the first step that was asked for

    def batch_at(self, step: int) -> Batch:
        if self.began is None:
            self.began = step
        rows = super().batch_at(step - self.began if self.forgetful else step)
        self.seen.update(row.tobytes() for row in rows.tokens.numpy())
        return rows


class Preempt(assay.Hook):
    """Stops a run after some steps, and counts the rows that were read in all."""

    name = "preempt"

    def __init__(self, stops: list[int]) -> None:
        self.stops = stops
        self.loaders: list[Counted] = []  # one for each time the run was begun or resumed

    def begin(self, training: Any) -> None:
        self.training = training
        self.loaders.append(training.setup.batches)

    def after_step(self, state: Any, result: Any) -> None:
        if state.step in self.stops:
            self.training.request_stop("preempted")

    @property
    def seen(self) -> Counter[bytes]:
        """How often each row was read."""
        return sum((loader.seen for loader in self.loaders), Counter())


def show(settings: Settings) -> Shown:
    """One run straight through, one stopped and resumed by Assay, one stopped and resumed with a loader that begins anew."""
    steps = settings.scale(STEPS)
    stops = [steps * number // (STOPS + 1) for number in range(1, STOPS + 1)]
    made = {
        "never stopped": run_with_stops(settings, steps, []),
        "resumed by Assay": run_with_stops(settings, steps, stops),
        "resumed with a new loader": run_with_stops(settings, steps, stops, "batches.forgetful=true"),
    }
    straight, seen, _ = made["never stopped"]
    runs = {
        name: {
            "stopped_at": stopped,
            "rows": read.total(),
            "again": read.total() - len(read),
            "missed": len(seen.keys() - read.keys()),
            "gap": largest_gap(straight, run),
            "bits": run.score(checkpoint="last").bits_per_byte,
        }
        for name, (run, read, stopped) in made.items()
    }
    clocks = {"never stopped": clock_errors(straight, 0), "after the last resume": clock_errors(straight, stops[-1])}

    rows = []
    for name, run in runs.items():
        counts = (len(run["stopped_at"]), run["rows"], run["again"], run["missed"])
        rows.append((name, *(f"{count:,}" for count in counts), f"{run['gap']:.2g}", f"{run['bits']:.6f}"))
    times = [(name, f"{100 * error['naive']:.1f} %", f"{100 * error['ours']:.1f} %") for name, error in clocks.items()]
    right, ours, wrong = runs.values()
    worse = 100 * (wrong["bits"] / right["bits"] - 1)
    return Shown(
        claim="The run was preempted a few times and went on from its checkpoints, so nothing was lost; it will be done in a moment.",
        tables=[
            [("", "stops", "rows read", "read again", "never read", "weights off by", "bits per byte"), *rows],
            [("error of the predicted end, of the run's time", "elapsed / steps", "Assay"), *times],
        ],
        wrong=f"All three made the same number of steps. The last was stopped after steps {', '.join(map(str, wrong['stopped_at']))}, and "
        f"its new loader began with the first batch each time: {wrong['again']:,} of its {wrong['rows']:,} rows were repeats, and it is "
        f"{abs(worse):.1f} % {'worse' if worse > 0 else 'better'}. No error, no odd line in the log.",
        right="The rows of a step are a function of the step's number and the seed, so there is no loader to restart. The run that Assay "
        f"resumed is {'the same to the last bit of every weight' if ours['gap'] == 0 else 'NOT the same: please report this bug'}.",
        figures={"stops": stops, "runs": runs, "time_left_error": clocks},
    )


def run_with_stops(settings: Settings, steps: int, stops: list[int], *changes: str) -> tuple[assay.Run, Counter[bytes], list[int]]:
    """Train, stop after some steps, and resume until it is done. Returns the run, the rows it read, and where it was really stopped."""
    every = (f"train.validate_every={max(1, steps // VALIDATIONS)}steps", f"train.log_every={max(1, steps // LINES)}steps")
    hook, stopped = Preempt(stops), []
    run = settings.train("bible", steps, *every, "batches.kind=counted", *changes, hooks=[hook])
    while run.status.state == "interrupted":
        stopped.append(run.status.step)
        run = run.resume(hooks=[hook], progress=False)
    return run, hook.seen, stopped


def largest_gap(one: assay.Run, other: assay.Run) -> float:
    """The largest difference of a weight."""
    weights, others = one.model("last").state_dict(), other.model("last").state_dict()
    return max(float((weights[name] - others[name]).abs().max()) for name in weights)


def clock_errors(run: assay.Run, resumed_at: int) -> dict[str, float]:
    """The mean error of the predicted end of a run, as a share of its time: of Assay's clock, and of elapsed / steps since a resume.

    Every piece of work takes the mean time that it took, so that other programs on the machine do not enter.
    """
    steps, spent = run.status.step, run.status.metrics["seconds"]
    validations = {line["step"] for line in run.metrics() if "validation" in line}
    scores = len({str(score["protocol"]) for score in run.scores.values()})  # of the end: best is often last
    seconds = {"step": (spent["step"] + spent.get("warm_up", 0.0)) / steps, "validate": spent["validate"] / (len(validations) + scores)}
    clock, now, since = Clock(), 0.0, 0.0
    predicted: list[tuple[float, float, float]] = []  # now, seconds left by Assay's clock, by the naive one
    for step in range(1, steps + 1):
        for kind in ("step", "validate") if step in validations else ("step",):
            clock.add(kind, seconds[kind])
            now += seconds[kind]
        if step == resumed_at:
            since = now
        elif step > resumed_at and step % max(1, steps // LINES) == 0:
            to_come = sum(other > step for other in validations) + FINAL_SCORES
            left = clock.estimate({"step": steps - step, "validate": to_come})
            predicted.append((now, left, (now - since) / step * (steps - step)))
    end = now + scores * seconds["validate"]
    counted = [each for each in predicted if each[0] > COUNTED_AFTER * end]
    ours, naive = (sum(abs(each[0] + each[which] - end) for each in counted) / len(counted) / end for which in (1, 2))
    return {"ours": ours, "naive": naive}
