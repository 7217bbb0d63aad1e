"""Another setting of a run, under a slider."""
