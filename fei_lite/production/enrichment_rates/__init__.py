"""What to enrich for a channel set: decays counted by mode and channel, and the boosts that level the channels."""
