"""B -> K tau l with a hadronic tag: lepton-flavour violation found by the recoil mass."""
