"""Training of a model set on event files, stage by stage: samples, settings, tag classifier, calibration."""
