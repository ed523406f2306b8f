"""The version of this source."""

__version__ = "0.8.0"
