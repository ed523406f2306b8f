"""Generation through the model's state: each token is read once, many texts at a time."""

import codecs
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from assay.core.seeds import torch_stream
from assay.errors import UserError
from assay.generation.sampling import Sampling
from assay.models.base import Model


@torch.inference_mode()
def stream(model: Model, prompt: Sequence[int], count: int, limit: int, sampling: Sampling, seed: int, *, end: int) -> Iterator[Tensor]:
    """Continue `prompt` `count` times, yielding the new tokens [count] of each step; a text that has ended goes on yielding `end`.

    Every text begins with the end token, as in training. Stops when all have ended, or after `limit` tokens. The text may not become
    longer than the model can read. `seed` and its number decide what a text draws, however many are written beside it.
    """
    device = next(model.parameters()).device
    generators = [torch_stream(seed, "sampling", row) for row in range(count)]
    tokens = torch.tensor([[end, *prompt]], device=device).expand(count, -1)
    if model.length is not None:
        limit = min(limit, model.length - tokens.shape[1] + 1)
        if limit < 1:
            raise UserError(f"the prompt has {len(prompt)} tokens and the model reads at most {model.length - 1}; shorten it")
    state = model.init_state(count)
    done = torch.zeros(count, dtype=torch.bool, device=device)
    training = model.training
    model.eval()
    try:
        for _ in range(limit):
            output = model(tokens, state)
            state = output.state
            first = output.predictions[0]
            drawn = sampling.draw(first.readout(first.hidden[:, -1]), generators)
            drawn = torch.where(done, end, drawn)
            done = done | (drawn == end)
            yield drawn
            if bool(done.all()):
                return
            tokens = drawn.unsqueeze(1)
    finally:
        model.train(training)


def pieces(steps: Iterator[Tensor], decode: Callable[[Sequence[int]], bytes], end: int) -> Iterator[str]:
    """The first text of a stream while it is being written; bytes wait until they complete a character."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for step in steps:
        token = int(step[0])
        if token == end:
            break
        if piece := decoder.decode(decode([token])):
            yield piece
    if rest := decoder.decode(b"", final=True):
        yield rest


def texts(steps: Iterator[Tensor], decode: Callable[[Sequence[int]], bytes], end: int) -> list[tuple[str, bool]]:
    """The texts that a stream of tokens spells, and whether each ended by itself; undecodable bytes are shown as U+FFFD."""
    columns = torch.stack(list(steps), dim=1).tolist()
    cut = [row[: row.index(end)] if end in row else row for row in columns]
    return [(decode(text).decode("utf-8", errors="replace"), end in row) for text, row in zip(cut, columns, strict=True)]
