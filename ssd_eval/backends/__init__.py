"""Sampling engines behind one protocol (`base`), found by name."""
