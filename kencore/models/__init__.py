"""Loaded models: what they are, and what they answer."""
