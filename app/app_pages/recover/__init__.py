"""The page Recover."""
