"""The version of KEN_viz."""

__version__ = "0.1.0"
