"""Planning a study: from its file to its arms, what is matched, what is refused, and the first runs."""

from collections.abc import Iterable
from pathlib import Path

from assay.errors import ConfigError
from assay.experiment.config import ExperimentConfig
from assay.experiment.vocabulary import read_vocabulary, vocabulary_size
from assay.runs.provenance import code_version
from assay.studies.file import StudyConfig
from assay.studies.plan import PlannedArm, RefusedArm, StudyPlan, make_jobs
from assay.variation.axes import Candidate, apply_values, list_candidates, refuse_undeclared
from assay.variation.costs import Costs, count_parameters, measure_costs
from assay.variation.matching import MatchedConfig, make_matching
from assay.variation.names import BASE
from assay.variation.rates import list_learning_rates


def make_plan(name_or_path: str, scale: str | None = None, data_dir: Path | None = None, *, with_costs: bool = True) -> StudyPlan:
    """Plan a study that ships with Assay or that of a TOML file; the same study is always planned alike. Raises ConfigError.

    Sizes are those of the vocabularies that the texts give, which are read, in `data_dir` or the cache; as asked where they are not there.
    Without `with_costs` no text is read, and the arms have no FLOPs and no bytes of state, which take about a second each the first time.
    """
    study = StudyConfig.load(name_or_path, scale)
    base = study.load_base()
    require_test_split(study, base)
    if with_costs:
        read_vocabulary(base, data_dir)
    matching = make_matching(study.match, base)
    matched_base = matching.solve(base, ())
    arms, refused = [_make_arm(Candidate(BASE, None, {}, True), matched_base, with_costs)], []
    for candidate in list_candidates(base, study.axes, study.variants, study.mode):
        try:
            varied = apply_values(base, candidate.values)
            if with_costs:
                read_vocabulary(varied, data_dir)
            matched = matching.solve(varied, candidate.values)
            count_parameters(matched.config)
            if matched.config == matched_base.config and candidate.axis is None and candidate.required:
                raise ConfigError("", "is the base itself; change something else, or leave it out")
            if matched.config != matched_base.config:
                refuse_undeclared(candidate.name, matched_base.config, matched.config, (*candidate.values, *matched.solved))
                require_test_split(study, matched.config)
                arms.append(_make_arm(candidate, matched, with_costs))
        except ConfigError as wrong:
            if candidate.required:
                raise ConfigError(f"arm '{candidate.name}'" + (f": {wrong.path}" if wrong.path else ""), wrong.reason) from None
            refused.append(RefusedArm(candidate.name, str(wrong)))
    plan = begin_plan(Path(name_or_path).stem, scale, study, _refuse_same(arms), refused)
    for job in plan.jobs:
        arm = plan.arm(job.arm)
        declared = (*arm.values, *arm.solved, "train.seed", *(list_learning_rates(arm.config.to_dict()) if job.lr_factor != 1 else ()))
        refuse_undeclared(job.run, matched_base.config, ExperimentConfig.make(job.config), declared)
    return plan


def begin_plan(
    name: str, scale: str | None, study: StudyConfig, arms: Iterable[PlannedArm], refused: Iterable[RefusedArm] = ()
) -> StudyPlan:
    """Make the plan with which a study begins: with several factors, the runs that choose among them.

    All arms have one seed before any has the next, so that a study which is stopped early can be read.
    """
    listed, tuned = tuple(arms), study.tunes_learning_rates
    seeds = study.tuning_seeds if tuned else (*study.seeds, *study.base_seeds)
    jobs = tuple(
        job
        for seed in seeds
        for arm in listed
        if tuned or seed in study.seeds_of(arm.name)
        for job in make_jobs(arm, [seed], study.lr_factors, tuning=tuned)
    )
    chosen = {} if tuned else {arm.name: study.lr_factors[0] for arm in listed}
    return StudyPlan(name, scale, study, listed, jobs, tuple(refused), chosen, code_version())


def require_test_split(study: StudyConfig, config: ExperimentConfig) -> None:
    """Raise ConfigError where figures of a test part are asked for and the split has none."""
    if study.report_on == "test" and not config.split.test:
        raise ConfigError(
            "report_on", 'the split has no test part; give it one with set = ["split.test=0.05"], or write report_on = "validation"'
        )


def _make_arm(candidate: Candidate, matched: MatchedConfig, with_costs: bool) -> PlannedArm:
    cost = measure_costs(matched.config) if with_costs else Costs(count_parameters(matched.config), 0, 0)
    return PlannedArm(candidate.name, candidate.axis, candidate.values, *matched, *cost, vocabulary_size(matched.config))


def _refuse_same(arms: list[PlannedArm]) -> list[PlannedArm]:
    """Raise ConfigError for two arms that are one experiment."""
    seen: dict[str, str] = {}
    for arm in arms:
        other = seen.setdefault(arm.config.digest(), arm.name)
        if other != arm.name:
            raise ConfigError("axes", f"the arms '{other}' and '{arm.name}' are the same experiment; keep one of them")
    return arms
