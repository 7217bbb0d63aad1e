"""Many prunings as one piece of work."""
