"""Analyses that use the tag: selection, classifier, histograms and cut-flow. Statistics starts where they end."""
