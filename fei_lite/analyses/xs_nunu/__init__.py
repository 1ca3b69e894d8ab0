"""B -> Xs nu nubar as a sum of 30 exclusive modes with the hadronic tag, arXiv:2511.10980."""
