"""Looking for an allocation on the activations of a model."""
