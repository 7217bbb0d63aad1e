"""The page Sparsity."""
