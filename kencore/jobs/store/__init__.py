"""The store of jobs: one SQLite file."""
