"""Figures: each function draws numbers that were found elsewhere into a file.

matplotlib is imported inside the functions; its global state (pyplot, styles,
backend) is left alone.
"""
