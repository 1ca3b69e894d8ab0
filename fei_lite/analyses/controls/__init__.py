"""Controls of an analysis, from the table ``[controls]`` of its recipe."""
