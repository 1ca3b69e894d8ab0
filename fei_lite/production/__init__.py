"""Production: events from generator to detector, and which of them are kept."""
