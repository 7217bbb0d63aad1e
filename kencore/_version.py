"""The version of KEN_viz."""

__version__ = "0.2.0"
