"""The parametric detector: generated particles in, an EventBatch out.

No particle is followed through matter step by step: each meets layers,
surfaces and probabilities taken from ``response.toml``. What that leaves out
is said there and in the modules of this folder, one for each kind of object:
bremsstrahlung of electrons, merged photons of fast pi0, particles that come back
from the calorimeter, and neutrals that leave a nucleus.
"""

from __future__ import annotations

import numpy as np

from fei_lite.detector.clusters import charged_impact, make_clusters
from fei_lite.detector.decays import decays_in_flight
from fei_lite.detector.klm import make_klm
from fei_lite.detector.nuclear import nuclear_interactions
from fei_lite.detector.particles import (
    Particles,
    conversions,
    extend,
    final_state,
    merge,
    with_secondaries,
)
from fei_lite.detector.pid import pid_likelihoods
from fei_lite.detector.response import Response, default_response
from fei_lite.detector.tracks import find_tracks
from fei_lite.detector.v0s import find_v0s
from fei_lite.events.batch import EventBatch, Jagged, offsets_of
from fei_lite.generator.generate import GeneratedBatch


def simulate_detector(batch: GeneratedBatch, response: Response | None = None, *, rng: np.random.Generator,
                      background: bool = True) -> EventBatch:
    """What the detector records of generated events, in the event schema.

    Particles made in the detector (decays in flight, conversions, interactions with
    nuclei) are appended to ``generated`` without the primary bit. ``background=False``
    leaves out tracks and clusters of the beams and noise; tracks of mixed hits stay.
    The same ``rng`` state gives the same events.
    """
    response = response or default_response()
    n_events = batch.n_events
    bz = batch.events["bz"].astype(np.float64)
    particles, generated = with_secondaries_of(batch, response, rng)
    tracks = find_tracks(particles, bz, n_events, response=response, rng=rng, background=background)
    offsets = offsets_of(np.bincount(tracks.event, minlength=n_events))
    matched = np.where(tracks.particle >= 0, particles.index[tracks.particle] if len(particles) else -1, -1)
    track_list = Jagged(offsets, {
        "charge": tracks.charge.astype(np.int8), "helix": tracks.helix, "helix_cov": tracks.cov,
        "pid_logl": pid_likelihoods(tracks, response, rng), "p_value": tracks.p_value.astype(np.float32),
        "n_cdc_hits": tracks.counts[:, 2].astype(np.int16), "n_svd_hits": tracks.counts[:, 1].astype(np.int16),
        "n_pxd_hits": tracks.counts[:, 0].astype(np.int16), "mc_index": matched.astype(np.int32),
    })
    impact = charged_impact(particles, bz, response)
    clusters = make_clusters(particles, tracks, offsets, impact, response=response, rng=rng, background=background)
    klm = make_klm(particles, impact, n_events, response=response, rng=rng, background=background)
    v0s = find_v0s(tracks, offsets, bz, response=response, rng=rng)
    return EventBatch(dict(batch.events), track_list, clusters, klm, v0s, generated)


def with_secondaries_of(batch: GeneratedBatch, response: Response,
                        rng: np.random.Generator) -> tuple[Particles, Jagged]:
    """The particles that the detector can see, and the generated list with what they became on the way."""
    bz = batch.events["bz"].astype(np.float64)
    particles = final_state(batch.generated)
    particles, from_decays = decays_in_flight(particles, bz[particles.event], response, rng)
    particles, from_photons = conversions(particles, response, rng)
    particles, from_nuclei = nuclear_interactions(particles, bz[particles.event], response, rng)
    secondaries = merge(from_decays, from_photons, from_nuclei)
    generated, index = extend(batch.generated, secondaries)
    return with_secondaries(particles, secondaries, index), generated
