"""B -> K(*) nu nubar: the generated decay, its spectrum, and what other theories make of it."""
