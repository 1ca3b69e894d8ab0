"""Particle names, codes and quantum numbers against the PDG's review, typed by hand."""

from __future__ import annotations

import re

import pytest

from fei_lite.channels import load_channel_set
from fei_lite.errors import UnknownNameError
from fei_lite.particles import (
    charge,
    conjugate,
    flavours,
    is_self_conjugate,
    mass,
    particle_name,
    pdg_code,
)

# name: (PDG code, mass in GeV (PDG 2024), charge, conjugate, (strangeness, charm, bottomness))
REVIEW = {
    "gamma": (22, 0.0, 0, "gamma", (0, 0, 0)), "e+": (-11, 0.000510999, 1, "e-", (0, 0, 0)),
    "mu+": (-13, 0.1056584, 1, "mu-", (0, 0, 0)), "pi+": (211, 0.1395704, 1, "pi-", (0, 0, 0)),
    "pi0": (111, 0.1349768, 0, "pi0", (0, 0, 0)), "K+": (321, 0.493677, 1, "K-", (1, 0, 0)),
    "K_S0": (310, 0.497611, 0, "K_S0", (0, 0, 0)), "K_L0": (130, 0.497611, 0, "K_L0", (0, 0, 0)),
    "K0": (311, 0.497611, 0, "anti-K0", (1, 0, 0)), "p+": (2212, 0.9382721, 1, "anti-p-", (0, 0, 0)),
    "Lambda0": (3122, 1.115683, 0, "anti-Lambda0", (-1, 0, 0)), "Sigma+": (3222, 1.18937, 1, "anti-Sigma-", (-1, 0, 0)),
    "Lambda_c+": (4122, 2.28646, 1, "anti-Lambda_c-", (0, 1, 0)), "D0": (421, 1.86484, 0, "anti-D0", (0, 1, 0)),
    "D+": (411, 1.86966, 1, "D-", (0, 1, 0)), "D_s+": (431, 1.96835, 1, "D_s-", (1, 1, 0)),
    "D*0": (423, 2.00685, 0, "anti-D*0", (0, 1, 0)), "D*+": (413, 2.01026, 1, "D*-", (0, 1, 0)),
    "D_s*+": (433, 2.1122, 1, "D_s*-", (1, 1, 0)), "J/psi": (443, 3.0969, 0, "J/psi", (0, 0, 0)),
    "B+": (521, 5.27941, 1, "B-", (0, 0, 1)), "B0": (511, 5.27972, 0, "anti-B0", (0, 0, 1)),
    "B_s0": (531, 5.36693, 0, "anti-B_s0", (-1, 0, 1)), "phi": (333, 1.01946, 0, "phi", (0, 0, 0)),
    "Xi-": (3312, 1.32171, -1, "anti-Xi+", (-2, 0, 0)), "Omega-": (3334, 1.67245, -1, "anti-Omega+", (-3, 0, 0)),
}


@pytest.mark.parametrize("name", REVIEW)
def test_against_the_review(name):
    """Would catch a wrong code, MeV for GeV, a charge of the wrong sign, a wrong antiparticle."""
    code, gev, unit, other, flavour = REVIEW[name]
    assert pdg_code(name) == code
    assert particle_name(code) == name
    assert mass(name) == mass(code) == mass(other) == pytest.approx(gev, abs=2e-5 if gev > 0.6 else 2e-6)
    assert charge(name) == charge(code) == -charge(other) == unit
    assert conjugate(name) == other
    assert conjugate(other) == name
    assert is_self_conjugate(name) == (other == name)
    assert flavours(name) == flavour
    assert flavours(other) == tuple(-value for value in flavour)


def test_labels_are_kept_or_ignored():
    """Would catch a label that changes the particle, or gets lost in the conjugate."""
    assert pdg_code("D*-:semileptonic") == -413
    assert conjugate("D*-:semileptonic") == "D*+:semileptonic"
    assert conjugate("K_S0:V0") == "K_S0:V0"


@pytest.mark.parametrize("bad", ["K_S", "", "pi", "D0 ", "PI+"])
def test_unknown_names(bad):
    """Would catch a name that is guessed instead of refused."""
    with pytest.raises(UnknownNameError, match=re.escape(f"unknown particle '{bad}'")):
        pdg_code(bad)
    with pytest.raises(UnknownNameError, match="unknown PDG code 99"):
        particle_name(99)


def test_strong_and_electromagnetic_decays_keep_the_flavours():
    """Would catch a wrong sign of a quark: D* and J/psi decays of the default set conserve all three numbers."""
    for channel in load_channel_set("hadronic").channels():
        if channel.leaf is None and "*" in channel.particle:
            total = tuple(map(sum, zip(*map(flavours, channel.daughters), strict=True)))
            assert total == flavours(channel.particle)
