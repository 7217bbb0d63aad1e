"""Runs on disk, their packed masks, and what pictures of them need. No torch at import."""
