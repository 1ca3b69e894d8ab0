"""The detector: a parametric response of tracking, particle identification, calorimeter and KLM."""
