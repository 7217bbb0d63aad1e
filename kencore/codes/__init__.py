"""Codes for a difference: few symbols and scales that say what a tuned matrix has beyond its base.

Pure functions of arrays; they know neither models nor files. `kencore.codes.table` has one row per code,
`kencore.codes.choice` picks among them for a budget. Settings read `kencore.codes.names`, so this file stays empty.
"""
