"""Every quantity by its name: one grammar for expressions and cuts."""
