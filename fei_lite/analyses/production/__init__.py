"""One production of simulated events for several analyses: in pieces that resume, learn and add up."""
