"""Report what a check found, as data: each finding has a kind and values, and a sentence made of them."""

from dataclasses import dataclass
from typing import Any, Literal

ModelKind = Literal[
    "looks_ahead", "mixes_rows", "depends_on_batch", "depends_on_length", "depends_on_padding", "not_deterministic", "changes_state",
    "non_finite", "probabilities", "last_position_only", "small_vocabulary", "refuses_length", "fails", "normalised", "ignores_past",
]  # fmt: skip
HARMLESS = ("normalised", "ignores_past")
LAST_POSITION_ONLY = (
    "gives the logits of the last position only, as nanoGPT does where it is given no targets; "
    "give a callable that returns all of them, such as `lambda ids: model(ids, ids)`"
)
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
    "changes_buffer": "changes its own state: a call in evaluation writes into its buffer '{name}'",
    "non_finite": "gives logits that are not finite at position {position} of {tokens}",
    "probabilities": "gives probabilities instead of logits; leave the softmax out, the loss has its own",
    "last_position_only": LAST_POSITION_ONLY,
    "small_vocabulary": "has a vocabulary of {amount:.0f} entries, fewer than the {length} asked for",
    "refuses_length": "cannot read {tokens}, so the last window of a text cannot be scored ({name})",
    "fails": "cannot read one row alone ({name})",
    "normalised": "gives log-probabilities rather than logits; that is harmless, as every figure stays the same",
    "ignores_past": "predicts from the last token alone, so looking ahead would not show; weights near zero may be why, train it a little",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found: its kind, a sentence, whether it makes no figure wrong (`harmless`), and its values."""

    kind: str
    sentence: str
    harmless: bool
    values: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"kind": self.kind, **self.values}


class Findings(tuple[Finding, ...]):
    """All that a check found; printed, a sentence a line. True where there is anything, even if it is harmless: see `ok`."""

    __slots__ = ()

    @property
    def ok(self) -> bool:
        """Whether nothing harmful was found."""
        return all(finding.harmless for finding in self)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind of each."""
        return tuple(finding.kind for finding in self)

    def __str__(self) -> str:
        return "\n".join(finding.sentence for finding in self) or "nothing was found"

    __repr__ = __str__

    def to_dict(self) -> list[dict[str, Any]]:
        """As plain values."""
        return [finding.to_dict() for finding in self]


def make_model_finding(kind: ModelKind, position: int | None = None, amount: float = 0.0, **more: Any) -> Finding:
    """Make the finding of a fault of a model, or of a property that is good to know.

    `position`: whose logits show it; `amount`: by how much they change, or how many entries there are. Others: `token`, the position or,
    of padding, the id that they change with; `length` of what was read, or the entries asked for; `more` tokens that follow; the `name` of
    a buffer, or the error that the model raised.
    """
    values = {"position": position, "amount": amount, **more}
    sentence = SENTENCES["changes_buffer" if kind == "changes_state" and "name" in more else kind]
    tokens = f"{more['length']} token{'s' * (more['length'] != 1)}" if "length" in more else ""
    given = {name: value for name, value in values.items() if value is not None}
    return Finding(kind, sentence.format(**values, tokens=tokens), kind in HARMLESS, given)
