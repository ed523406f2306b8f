"""What can be wrong with a model, and how it is said."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from assay.foreign.findings import Finding

ModelKind = Literal[
    "looks_ahead", "mixes_rows", "depends_on_batch", "depends_on_length", "depends_on_padding", "not_deterministic", "changes_state",
    "non_finite", "probabilities", "last_position_only", "small_vocabulary", "refuses_length", "fails", "normalised", "ignores_past",
]  # fmt: skip

HARMLESS = ("normalised", "ignores_past")

BY = "by {amount:.2g}"
SENTENCES: dict[str, str] = {
    "looks_ahead": f"looks ahead: the logits at position {{position}} change with token {{token}} ({BY})",
    "mixes_rows": f"mixes the rows of a batch: the logits of row 0 change with the text of the other rows (position {{position}}, {BY})",
    "depends_on_batch": f"depends on the batch: a row alone has other logits than among {{length}} rows (position {{position}}, {BY})",
    "depends_on_length": (
        f"depends on the length of the text: {{tokens}} alone and with {{more}} more after them give other logits "
        f"(position {{position}}, {BY})"
    ),
    "depends_on_padding": (
        f"depends on padding: the logits of {{tokens}} change when token {{token}} fills the row after them (position {{position}}, {BY})"
    ),
    "not_deterministic": (
        f"is not deterministic in evaluation: another random seed gives other logits (position {{position}}, {BY}); is dropout left on?"
    ),
    "changes_state": f"changes its own state: the same ids give other logits when it is called again (position {{position}}, {BY})",
    "non_finite": "gives logits that are not finite at position {position} of {tokens}",
    "probabilities": "gives probabilities instead of logits; leave the softmax out, the loss has its own",
    "last_position_only": (
        "gives the logits of the last position only, as nanoGPT does where it is given no targets; "
        "give a callable that returns all of them, such as `lambda ids: model(ids, ids)`"
    ),
    "small_vocabulary": "has a vocabulary of {amount:.0f} entries, fewer than the {length} asked for",
    "refuses_length": "cannot read {tokens}, so the last window of a text cannot be scored ({name})",
    "fails": "cannot read one row alone ({name})",
    "normalised": "gives log-probabilities rather than logits; that is harmless, as every figure stays the same",
    "ignores_past": "predicts from the last token alone, so looking ahead would not show; weights near zero may be why, train it a little",
}
BUFFER = "changes its own state: a call in evaluation writes into its buffer '{name}'"


@dataclass(frozen=True, slots=True)
class ModelFinding(Finding):
    """A fault of a model, or a property that is good to know (`harmless`)."""

    kind: ModelKind
    position: int | None = None  # whose logits it shows in
    amount: float = 0.0  # by how much they change, or how many there are
    token: int | None = None  # the position, or of padding the id, that they change with
    length: int | None = None  # tokens or rows that were read, or entries that were asked for
    more: int | None = None  # tokens that follow
    name: str | None = None  # of a buffer, or the error that the model raised

    @property
    def sentence(self) -> str:
        return (BUFFER if self.kind == "changes_state" and self.name else SENTENCES[self.kind]).format(
            **asdict(self), tokens=f"{self.length} token{'s' * (self.length != 1)}"
        )

    @property
    def harmless(self) -> bool:
        return self.kind in HARMLESS

    def tree(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}
