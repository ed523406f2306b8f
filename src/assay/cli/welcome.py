"""The text that `assay` alone and `assay --version` print. Nothing heavy is imported here, so both answer at once."""

import assay

WELCOME = """\
Assay trains, scores and compares small language models.

Start here:
  assay doctor        is this machine ready?
  assay train bible   a model of the Bible in 5 minutes
  assay sample last   let it write
  assay score last    its bits per byte, all text scored
  assay runs          what was trained, with the scores

Then:
  assay show bible    what exactly a recipe or a run is
  assay data bible    what a text is
  assay diff A B      what differs between two of them
  assay kinds         what can stand in a config
  assay bench         how fast this machine trains
  assay train bible model.width=256 batches.size=8
  assay compare A B   is the difference resolved?
  assay study list    one change at a time, all else equal
  assay report STUDY  what it found, on one page

`assay --help` lists all commands, `assay COMMAND --help`
the options of one; `assay --install-completion` completes
them with the tab key."""


def version() -> str:
    """Return the package's name and version."""
    return f"assay {assay.__version__}"
