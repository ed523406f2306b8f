"""Lie 4: losses per word, per token, per character and per byte, put side by side as if they were one unit.

A tokenizer decides into how many pieces a text is cut, and the loss per piece is divided by that number.
"""

import math

from lies.runs import Settings, Shown

TITLE = "Losses in different units"
STEPS = 100  # of 2,048 tokens, of the models of words and of BPE tokens; characters and bytes are shorter, so they have more steps
LONGER = 3
MODELS = {"word": ("bible-word", 1), "BPE token": ("bible", 1), "character": ("bible-char", LONGER), "byte": ("bible-byte", LONGER)}


def show(settings: Settings) -> Shown:
    """Train the same trunk on four kinds of tokens, and give each loss in its own unit and in a common one."""
    models = []
    for unit, (recipe, times) in MODELS.items():
        run = settings.train(recipe, settings.scale(times * STEPS))
        score = run.score(checkpoint="last")
        own = {"nats": score.nats / score.tokens_scored, "pieces": score.tokens_scored}
        models.append({"unit": unit, "steps": run.status.step, **own, "bits": score.bits_per_byte, "bytes": score.bytes_scored})

    by_piece, by_byte = (sorted(models, key=lambda model: model[figure]) for figure in ("nats", "bits"))
    rows = []
    for model in models:
        own = (f"{model['pieces']:,}", f"{model['nats']:.3f} a {model['unit']}", f"{math.exp(model['nats']):.1f}")
        ranks = str(by_piece.index(model) + 1), str(by_byte.index(model) + 1)
        rows.append((f"model of {model['unit']}s", *own, ranks[0], f"{model['bits']:.3f}", ranks[1]))
    seeming, worst, best = by_piece[0], by_piece[-1], by_byte[0]
    return Shown(
        claim=f"The model of {seeming['unit']}s is the best, with a loss of {seeming['nats']:.2f}; that of {worst['unit']}s is the worst, "
        f"with {worst['nats']:.2f}.",
        tables=[[("", "pieces of the text", "loss in nats", "perplexity", "rank", "bits per byte", "true rank"), *rows]],
        wrong=f"The text is the same {best['bytes']:,} bytes, but it is cut into {seeming['pieces']:,} {seeming['unit']}s or "
        f"{best['pieces']:,} {best['unit']}s: a small error made often against a large one made seldom.",
        right=f"Every tokenizer knows the bytes of each token, so the loss can be given per byte of the raw text. There the model of "
        f"{best['unit']}s, number {by_piece.index(best) + 1} by its own loss, is number 1.",
        figures={"models": models},
    )
