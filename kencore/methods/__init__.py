"""Which entries of a row stay: one file per method, one row of the table each."""
