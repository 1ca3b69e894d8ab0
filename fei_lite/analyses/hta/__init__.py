"""B+ -> K+ nu nubar with the hadronic tag (HTA), arXiv:2311.14647."""
