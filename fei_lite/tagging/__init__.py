"""Tagging of whole files: events in, best Btags out, in a file that is read in pieces."""
