"""From a study file to its plan: base, arms, what is matched, what is refused, costs."""

from pathlib import Path

from assay.core.config import Tree
from assay.errors import ConfigError
from assay.experiment.config import ExperimentConfig
from assay.studies.file import StudyConfig
from assay.studies.plan import BASE, Plan, PlannedArm, Refused, new_plan
from assay.variation.axes import Candidate, candidates, refuse_undeclared, varied
from assay.variation.costs import Costs, built, costs
from assay.variation.matching import Matching, matching
from assay.variation.rates import rates


def make_plan(name_or_path: str, scale: str | None = None, *, traced: bool = True) -> Plan:
    """The plan of a study that ships with Assay or of a TOML file. Raises ConfigError.

    Without `traced` the arms have no FLOPs and no bytes of state, which take about a second each the first time.
    """
    return plan_study((Path(name_or_path).stem, scale), StudyConfig.load(name_or_path, scale), traced=traced)


def plan_study(label: tuple[str, str | None], study: StudyConfig, *, traced: bool = True) -> Plan:
    """The plan of a study called so, at that scale. Deterministic: the same study is always planned alike."""
    overrides = [*study.set, f"train.seed={study.seeds[0]}", *([f'train.budget="{study.budget}"'] if study.budget else [])]
    base = ExperimentConfig.load(study.base, overrides, study.scale)
    refuse_unreported(study, base)
    match = matching(study.match, base)
    solved_base, solved = match.solve(base, ())
    arms, refused = [_arm(Candidate(BASE, None, {}, True), solved_base, solved, traced)], []
    for candidate in candidates(study.variation, base):
        try:
            config, solved = _matched(match, candidate)
            if config == solved_base and candidate.axis is None and candidate.required:
                raise ConfigError("", "is the base itself; change something else, or leave it out")
            if config != solved_base:
                refuse_undeclared(candidate.name, solved_base, config, (*candidate.values, *solved))
                refuse_unreported(study, config)
                arms.append(_arm(candidate, config, solved, traced))
        except ConfigError as wrong:
            if candidate.required:
                raise ConfigError(f"arm '{candidate.name}'" + (f": {wrong.path}" if wrong.path else ""), wrong.reason) from None
            refused.append(Refused(candidate.name, str(wrong)))
    plan = new_plan(label, study, _refuse_same(arms), refused)
    for job in plan.jobs:
        arm = plan.arm(job.arm)
        declared = (*arm.values, *arm.solved, "train.seed", *(rates(arm.config.tree()) if job.lr_factor != 1 else ()))
        refuse_undeclared(job.run, solved_base, ExperimentConfig.make(job.config), declared)
    return plan


def refuse_unreported(study: StudyConfig, config: ExperimentConfig) -> None:
    """Raise ConfigError where figures of a test part are asked for and the split has none."""
    if study.report_on == "test" and not config.split.test:
        raise ConfigError(
            "report_on", 'the split has no test part; give it one with set = ["split.test=0.05"], or write report_on = "validation"'
        )


def _matched(match: Matching, candidate: Candidate) -> tuple[ExperimentConfig, Tree]:
    config, solved = match.solve(varied(match.base, candidate.values), candidate.values)
    built(config)
    return config, solved


def _arm(candidate: Candidate, config: ExperimentConfig, solved: Tree, traced: bool) -> PlannedArm:
    cost = costs(config) if traced else Costs(built(config), 0, 0)
    return PlannedArm(candidate.name, candidate.axis, candidate.values, config, solved, *cost)


def _refuse_same(arms: list[PlannedArm]) -> list[PlannedArm]:
    """Raise ConfigError for two arms that are one experiment."""
    seen: dict[str, str] = {}
    for arm in arms:
        other = seen.setdefault(arm.config.digest(), arm.name)
        if other != arm.name:
            raise ConfigError("axes", f"the arms '{other}' and '{arm.name}' are the same experiment; keep one of them")
    return arms
