"""Sending work to a worker and watching it."""
