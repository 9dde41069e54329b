"""Judges the judge: it must pass correct implementations, find broken ones, and not change its mind."""
