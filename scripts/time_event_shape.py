"""Events per second of the event-shape variables, on one core.

    python scripts/time_event_shape.py --events 20000 --particles 12

Events have a Poisson number of particles, half in the B candidate, half in the
rest. Exit code 1 if all variables together run below ``--goal`` events per second.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from fei_lite import event_shape as shape

SQRT_S = 10.58  # GeV


def toy_side(rng: np.random.Generator, n_events: int, mean: float) -> shape.Momenta:
    """Isotropic pions and photons with momenta of some 0.4 GeV, at least one per event."""
    counts = np.maximum(rng.poisson(mean, n_events), 1)
    p3 = rng.normal(0.0, 0.3, (counts.sum(), 3))
    energy = np.linalg.norm(p3, axis=1)
    charge = rng.integers(-1, 2, len(p3)).astype(np.int8)
    return shape.Momenta(np.concatenate([[0], np.cumsum(counts)]), np.column_stack([p3, energy]), charge)


def rate(function: Callable[[], object], n_events: int, repeat: int = 3) -> float:
    """Events per second, the best of ``repeat`` runs after one that compiles."""
    function()
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return n_events / best


def main() -> int:
    """Parse the command line, time each group of variables, print events per second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--particles", type=float, default=12.0, help="mean per event (default: %(default)s)")
    parser.add_argument("--goal", type=float, default=20_000.0, help="events per second (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    rng = np.random.default_rng(arguments.seed)
    candidate, rest = (toy_side(rng, arguments.events, arguments.particles / 2) for _ in range(2))
    everything = shape.join(candidate, rest)
    axis, _ = shape.thrust(everything)

    def everything_together() -> None:
        shape.event_shape(everything, sqrt_s=SQRT_S)
        shape.continuum_suppression(candidate, rest, sqrt_s=SQRT_S)

    parts: dict[str, Callable[[], object]] = {
        "thrust": lambda: shape.thrust(everything),
        "Fox-Wolfram moments 0..4": lambda: shape.fox_wolfram(everything),
        "sphericity": lambda: shape.sphericity(everything),
        "CLEO cones": lambda: shape.cleo_cones(everything, axis),
        "harmonic moments 0..8": lambda: shape.harmonic_moments(everything, axis, sqrt_s=SQRT_S),
        "KSFW moments": lambda: shape.ksfw_moments(candidate, rest, sqrt_s=SQRT_S),
        "all variables": everything_together,
    }
    print(f"{arguments.events} events, {len(everything.p4) / arguments.events:.1f} particles each")
    speed = 0.0
    for name, function in parts.items():
        speed = rate(function, arguments.events)
        print(f"{name:26s} {speed:12,.0f} events/s")
    return 0 if speed >= arguments.goal else 1


if __name__ == "__main__":
    raise SystemExit(main())
