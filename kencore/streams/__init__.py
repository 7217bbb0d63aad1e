"""A causal language model as blocks: its weights, its calibration streams, and what reads what."""
