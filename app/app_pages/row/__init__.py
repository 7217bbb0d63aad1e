"""The page Row."""
