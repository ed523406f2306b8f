"""How a file says what is varied, and what every arm is given equally."""

from typing import Literal

Matched = Literal["tokens", "text", "flops", "minutes", "parameters"]
EVERY = "*"  # as an axis: every kind of the family
