"""The subnetwork file: what a pruned model has beyond its base."""
