"""The six lies, in the order of the page that tells of them."""

from assay.demo import coverage, dead_knob, leaky_split, one_seed, resumed, units
from assay.demo.lie import Lie

LIES = (
    Lie(1, "Validation text that was trained on", 2.0, leaky_split.show),
    Lie(2, "Tokens that are never scored", 1.0, coverage.show),
    Lie(3, "A knob that is connected to nothing", 0.6, dead_knob.show),
    Lie(4, "Losses in different units", 1.8, units.show),
    Lie(5, "One seed against another", 2.5, one_seed.show),
    Lie(6, "A resume that replays, a clock that drifts", 1.8, resumed.show),
)
