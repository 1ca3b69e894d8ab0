"""Matrix elements of decays that Pythia makes in phase space: semileptonic decays, taus, neutrino pairs.

Pythia decays an event; then decays whose EvtGen model is known get their angles
and masses of lepton pairs drawn anew, and the trees below their products are
carried along (:mod:`~fei_lite.generator.matrix_elements.redraw`).
"""
