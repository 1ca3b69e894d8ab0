"""Simulated events: Pythia with the Belle II decay table, a parametric detector, exact weights."""
