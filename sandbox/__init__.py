"""Runs untrusted programs against tests. Imports the standard library only."""
