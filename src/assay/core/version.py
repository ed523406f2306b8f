"""The version of this source."""

__version__ = "0.6.0"
