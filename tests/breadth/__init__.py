"""Every decoder, classifier and encoder of transformers, built small, pruned, measured and read back."""
