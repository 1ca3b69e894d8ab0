"""What a fitted analysis says of other theories: posteriors of couplings, limits on other decays."""
