"""The generator: Pythia with the Belle II decay table, decay files, enrichment of rare decays."""
