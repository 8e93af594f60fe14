"""The model organism: a tiny code model with a planted lock/fork conflict, and how it is made.

A controlled demonstration, not a benchmark of anything: see docs/organism.md.
"""
