"""Decay files as EvtGen reads them: grammar, statements in their order, checks, and which models are followed."""
