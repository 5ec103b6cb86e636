"""Checks that derive themselves from the statements of a change, with nothing written by hand."""
