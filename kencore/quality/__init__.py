"""How good a pruned model is, and what it costs."""
