"""The scorer of a part of an experiment's text."""

import torch

from assay.data.plan import Policy
from assay.data.prepare import Prepared
from assay.errors import ConfigError
from assay.evaluation.documents import Documents
from assay.evaluation.protocol import Protocol
from assay.evaluation.reading import Reading
from assay.evaluation.score import Scorer
from assay.evaluation.streams import Streams
from assay.evaluation.windows import Windows
from assay.experiment.config import ExperimentConfig
from assay.runs.checkpoint_ref import CheckpointRef
from assay.runs.provenance import code_version
from assay.text.store import Part


def make_scorer(
    config: ExperimentConfig, prepared: Prepared, part: Part, labels: tuple[str, CheckpointRef | None], device: torch.device,
    policy: Policy | None = None, stride: int | None = None,
) -> Scorer:  # fmt: skip
    """The scorer of one part of the text under the experiment's own context length; labels: split, checkpoint.

    Without `policy` the text is read as the plan read it in training; a stride alone means strided windows. Raises ConfigError where
    policy and stride do not go together.
    """
    context, end = config.plan.window, prepared.tokenizer.end
    policy = policy or ("strided" if stride is not None else config.plan.policy)
    if (policy == "strided") != (stride is not None):
        raise ConfigError("stride", f"goes with the policy strided and only with it, and the policy is {policy}; give both or neither")
    if stride is not None and stride > context:
        raise ConfigError("stride", f"{stride} exceeds the context of {context} tokens, so tokens would be left out; choose 1 to {context}")
    masks = config.plan.masks and policy in ("disjoint", "strided")
    reading: Reading
    if policy == "carried":
        reading = Streams(part, end, context)
    elif policy == "documents":
        reading = Documents(part, end, context)
    else:
        reading = Windows(part, end, context, stride or context, masks)
    protocol = Protocol(
        split=labels[0],
        text_sha256=part.sha256,
        split_sha256=prepared.split_sha256,
        tokenizer=prepared.tokenizer.digest,
        policy=policy,
        context=context,
        stride=stride or context,
        streams=len(reading) if reading.carries else 0,
        document_mask=masks,
        dtype="float64" if config.train.precision == "float64" else "float32",
        checkpoint=labels[1],
        code=code_version(),
    )
    return Scorer(reading, prepared.tokenizer, protocol, device, group_names=prepared.corpus.groups)
