"""A small channel set and events rich in its decays: enough for every step, in seconds."""

from __future__ import annotations

from pathlib import Path

from fei_lite.channels.files import find_channel_set

#: Channels kept of the default set, by file and number.
KEPT = {"pi_plus": (0,), "K_plus": (0,), "gamma": (0,), "pi0": (0,), "D0": (0, 1, 9), "K_S0": (0,), "D_plus": (0,),
        "B_plus": (0, 1), "B0": (0,)}

#: One B of each event decays to what the small set reconstructs.
DECAYS = """
Alias MyD0 D0
Alias Myanti-D0 anti-D0
ChargeConj MyD0 Myanti-D0
Decay Upsilon(4S)
0.5 B+sig B- VSS;
0.5 B-sig B+ VSS;
Enddecay
Decay B+sig
0.8 Myanti-D0 pi+ PHSP;
0.2 Myanti-D0 pi+ pi0 PHSP;
Enddecay
CDecay B-sig
Decay Myanti-D0
0.7 K+ pi- PHSP;
0.3 K+ pi- pi0 PHSP;
Enddecay
CDecay MyD0
End
"""


def write_small_set(folder: Path) -> Path:
    """The chosen channels of the default set, unchanged, as a set of its own."""
    folder.mkdir()
    for name, numbers in KEPT.items():
        head, *channels = (find_channel_set("hadronic") / f"{name}.toml").read_text().split("[[channel]]")
        (folder / f"{name}.toml").write_text("[[channel]]".join([head, *(channels[i] for i in numbers)]))
    return folder


def write_decays(path: Path) -> Path:
    """The decay file of the rich events."""
    path.write_text(DECAYS)
    return path
