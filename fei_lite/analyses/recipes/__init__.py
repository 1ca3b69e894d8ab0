"""The recipe of an analysis: what its TOML says, its variants, and the expressions in it."""
