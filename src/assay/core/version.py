"""The version of this source."""

__version__ = "0.9.0"
