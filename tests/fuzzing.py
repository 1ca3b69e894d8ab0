"""Damaged inputs of every kind, and the reading that each must survive with an error of one line.

``scripts/fuzz_inputs.py`` runs thousands, ``tests/test_fuzzing.py`` a few dozen. Whatever is not a
:class:`FeiLiteError` that names the file is a finding: a traceback, a reading that does not end, a half-written
output, and, for event files, a track that changed without a word.
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
import traceback
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from fuzz_damage import odd
from fuzz_kinds import Mdst
from fuzz_more_kinds import ALL as KINDS

from fei_lite.errors import FeiLiteError

#: A reading may take so long (s of computing, and this many times as much by the clock), many times what an
#: undamaged file takes; files are small.
TIME = 30.0
WAITING = 8.0

#: Fraction of inputs that are no file, or one in another encoding.
ODD = 0.12


@dataclass
class Finding:
    """What a damaged input led to."""

    kind: str
    seed: int
    damage: str
    what: str


@dataclass
class Results:
    """Findings, and how the inputs were answered."""

    findings: list[Finding] = field(default_factory=list)
    refused: int = 0
    read: int = 0


class Hang(BaseException):
    """A reading that does not end."""


@contextmanager
def time_bound(seconds):
    """Raise :class:`Hang` in the block after so long; compiled code that never returns ends the process."""
    def expired(*_):
        raise Hang

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, seconds), signal.SIGALRM: (signal.ITIMER_REAL, WAITING * seconds)}
    before = {number: signal.signal(number, expired) for number in timers}
    for timer, bound in timers.values():
        signal.setitimer(timer, bound)
    faulthandler.dump_traceback_later(4 * WAITING * seconds, exit=True)
    try:
        yield
    finally:
        for number, (timer, _) in timers.items():
            signal.setitimer(timer, 0.0)
            signal.signal(number, before[number])
        faulthandler.cancel_dump_traceback_later()


def fuzz(n, *, seed, folder, kinds=None, report=None):
    """Read ``n`` damaged inputs, the kinds in turn; every input has a seed of its own, to repeat it."""
    results, made = Results(), []
    for kind in KINDS:
        if (kinds is None or kind.__name__ in kinds) and (kind is not Mdst or os.environ.get("FEI_LITE_TEST_DATA")):
            with time_bound(10 * TIME):  # the first may compile kernels
                made.append(kind(folder))
    for i in range(n):
        kind = made[i % len(made)]
        one(kind, seed * 1_000_000 + i, results)
        if report is not None:
            report(i + 1, results)
    return results


def one(kind, seed, results):
    """One damaged input."""
    place = kind.folder / "damaged"
    place.mkdir(exist_ok=True)
    path = place / f"input{kind.suffix}"
    rng = np.random.default_rng(seed)
    damage = odd(path, kind.good.read_bytes(), rng) if rng.random() < ODD else kind.damaged(rng, path)

    def found(what):
        results.findings.append(Finding(type(kind).__name__, seed, damage, what))

    try:
        with warnings.catch_warnings(), time_bound(TIME):
            warnings.simplefilter("ignore")
            kind.read(path)
        results.read += 1
    except FeiLiteError as error:
        results.refused += 1
        first = str(error).splitlines()[0] if str(error) else ""
        if path.name not in first and "set" not in first and path.stem not in first:
            found(f"no file named: {first[:300]}")
        if len(first) > 2000:
            found(f"a message of {len(first)} characters: {first[:100]}")
    except Hang:
        found(f"not ended after {TIME} s")
    except Exception:
        found("".join(traceback.format_exc()[-1500:]))
    left = sorted(p.name for p in place.iterdir() if p != path)
    if left:
        found(f"left behind: {', '.join(left)}")
    shutil.rmtree(place)
