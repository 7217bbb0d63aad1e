"""Forms of a pruning, a sweep and a tuning: a setting is one row."""
