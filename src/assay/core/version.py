"""The version of this source."""

__version__ = "0.7.0"
