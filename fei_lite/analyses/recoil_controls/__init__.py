"""B0 -> D- pi+, D_s+ D-, J/psi K*0 by the mass that recoils against tag and pion, tag and D-, tag and K*0."""
