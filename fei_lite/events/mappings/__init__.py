"""Mappings of well-known layouts, by name."""
