"""Old names: what 0.1.0 had here now stands in `kencore.models`, `kencore.data` and `kencore.quality`."""
