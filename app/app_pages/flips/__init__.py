"""The page Flips."""
