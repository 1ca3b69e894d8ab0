"""B0 -> K*0 tau+ tau- with a hadronic tag."""
