"""This machine: devices, places, locks, whole files, progress."""
