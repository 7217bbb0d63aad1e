"""The page Tradeoff."""
