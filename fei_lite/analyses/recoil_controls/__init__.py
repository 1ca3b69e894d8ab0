"""B0 -> D- pi+ and D_s+ D- by the mass that recoils against tag and pion, tag and D-."""
