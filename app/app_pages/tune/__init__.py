"""The page Adjust."""
