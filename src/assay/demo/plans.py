"""Plans around a plan, which watch what is read or read it as a careless loader would."""

from collections import Counter

from assay.data.plan import Plan, Rows


class Watched:
    """A plan that counts how often each row was read. `restarted_at`: a loader that began anew at this step, at its first batch."""

    def __init__(self, plan: Plan, seen: Counter[bytes], restarted_at: int = 0) -> None:
        self.plan, self.seen, self.restarted_at = plan, seen, restarted_at
        self.carries, self.fingerprint = plan.carries, plan.fingerprint
        self.steps_per_epoch, self.targets_per_epoch = plan.steps_per_epoch, plan.targets_per_epoch

    def epoch(self, step: int) -> float:
        """As the plan says."""
        return self.plan.epoch(step)

    def rows(self, step: int) -> Rows:
        """The rows of a step, noted."""
        rows = self.plan.rows(step - self.restarted_at)
        self.seen.update(row.tobytes() for row in rows.tokens)
        return rows
