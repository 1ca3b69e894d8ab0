"""Data/simulation correction factors of tagging efficiencies, per decay mode, from fits of Mbc."""
