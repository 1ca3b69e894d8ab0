"""Channel sets: the default set against the published FEI, and every defect a file may have."""

from __future__ import annotations

import argparse
import json
import re
import shutil
from itertools import combinations, product
from pathlib import Path

import pytest

from fei_lite.channels import count_chains, feature_names, files, load_channel_set
from fei_lite.channels.cut_strings import meaning
from fei_lite.errors import ChannelFileError, ExpressionError, UnknownNameError
from fei_lite.particles import charge, conjugate, is_self_conjugate
from fei_lite.variables.names import known_of

SET = load_channel_set("hadronic")
SHIPPED = SET.path

# Keck et al., Comput. Softw. Big Sci. 3 (2019) 6 and basf2's default configuration:
# particle -> (channels, best before, SignalProbability above, best after)
FEI = {
    "pi+": (1, 20, 0.01, 10), "K+": (1, 20, 0.01, 10), "p+": (1, 20, 0.01, 10), "e+": (1, 10, 0.01, 5),
    "mu+": (1, 10, 0.01, 5), "gamma": (2, 40, 0.01, 20), "pi0": (1, 20, 0.01, 10), "K_S0": (3, 20, 0.01, 10),
    "Lambda0": (2, 20, 0.01, 10), "Sigma+": (1, 20, 0.01, 10), "J/psi": (2, 20, 0.001, 10),
    "D0": (15, 20, 0.001, 10), "D+": (11, 20, 0.001, 10), "D_s+": (10, 20, 0.001, 10),
    "Lambda_c+": (18, 20, 0.001, 10), "D*0": (2, 20, 0.001, 10), "D*+": (3, 20, 0.001, 10),
    "D_s*+": (2, 20, 0.001, 10), "B+": (36, 20, None, 20), "B0": (32, 20, None, 20),
}


def test_particles_of_the_default_set():
    """Would catch a lost channel, or a cut or number of candidates that is not the FEI's."""
    found = {name: (len(p.channels), p.best_pre, p.min_signal_probability, p.best_post)
             for name, p in SET.particles.items()}
    assert found == FEI
    assert SET.n_channels == 145
    for p in SET.particles.values():
        assert [c.index for c in p.channels] == list(range(len(p.channels)))
        leaf = p.stage == 0
        assert p.target == ("isPrimarySignal" if leaf else "isSignal")
        assert p.rank_highest == (leaf or p.name in ("B+", "B0"))


def test_stages():
    """Would catch another order than the FEI's, and a daughter that is not made before its mother."""
    assert [set(names) for names in SET.stages] == [
        {"pi+", "K+", "p+", "e+", "mu+", "gamma"}, {"pi0", "J/psi", "Lambda0"}, {"K_S0", "Sigma+"},
        {"D0", "D+", "D_s+", "Lambda_c+"}, {"D*0", "D*+", "D_s*+"}, {"B+", "B0"}]
    assert list(SET.particles) == [name for names in SET.stages for name in names]
    for channel in SET.channels():
        for daughter in channel.daughters if channel.leaf is None else ():
            assert SET.particle(daughter).stage < SET.particle(channel.particle).stage
    assert SET.tags == ("B+", "B0")


def test_number_of_features():
    """Would catch a pattern that expands wrongly: the published numbers of features per channel."""
    d_like = {2: 22, 3: 33, 4: 49, 5: 74}
    b_like = {2: 24, 3: 32, 4: 41, 5: 51}
    for channel in SET.channels():
        n, expected = len(channel.daughters), None
        if channel.leaf is not None:
            expected = {"gamma_FSP": 8, "gamma_V0": 4}.get(channel.identifier, 11 if channel.leaf == "FSP" else 17)
        elif channel.particle == "pi0":
            expected = 9
        elif channel.particle in ("K_S0", "Lambda0", "Sigma+"):
            expected = 19
        else:
            expected = (b_like if channel.particle in ("B+", "B0") else d_like)[n]
        assert len(channel.features) == expected, channel.text
        assert len(set(channel.features)) == expected
        for name in channel.features:
            feature_names.check(name, 2 if channel.leaf == "V0" else n)
        if channel.particle in ("B+", "B0"):  # the classifier must not sculpt Mbc
            assert not any(re.search(r"Mbc|InvariantMass|\bM\b|dM|Q", name) for name in channel.features)


def test_fits():
    """Would catch a fit where the FEI has none: two pi0 or more, and leaves; pi0 has its mass fit."""
    for channel in SET.channels():
        expected = None if channel.leaf or channel.daughters.count("pi0") > 1 else "vertex"
        assert channel.fit == ("mass" if channel.particle == "pi0" else expected)


def test_conservation_and_flavour():
    """Would catch a mistyped sign, and a final state wrongly taken to tell (or not to tell) the flavour."""
    for channel in SET.channels():
        if channel.leaf is not None:
            continue
        assert sum(map(charge, channel.daughters)) == charge(channel.particle)
        count = channel.daughters.count
        own = all(count(d) == count(conjugate(d)) for d in channel.daughters)
        assert channel.unflavoured == (own and not is_self_conjugate(channel.particle)), channel.text
    assert {c.text for c in SET.particles["B0"].channels if c.unflavoured} == {
        "B0 -> D- D+ K_S0", "B0 -> D*- D*+ K_S0", "B0 -> J/psi K_S0", "B0 -> J/psi K_S0 pi+ pi-"}


def test_cuts_of_photons():
    """Would catch the cut on clusters being applied to conversions."""
    fsp, v0 = SET.particles["gamma"].channels
    assert {c["region"]: c["minimum"] for c in meaning(fsp.cuts)} == {"forward": 0.10, "barrel": 0.09, "backward": 0.16}
    assert not v0.cuts


def enumerate_chains(channel_set, name):
    """Every chain below ``name``, written out; the V0 list is the decay to pi+ pi- (p+ pi-)."""
    config = channel_set.particle(name)
    decays = [c for c in config.channels if c.leaf is None]
    if not decays:
        return [name]
    turned = name != config.name
    return [(name, *below) for c in decays for below in product(
        *(enumerate_chains(channel_set, conjugate(d) if turned else d) for d in c.daughters))]


def test_chains_are_the_published_numbers():
    """Would catch a wrong way to count: 13515 and 17486 are the FEI's; brute force agrees for every particle."""
    chains = count_chains(SET)
    assert (chains["B+"], chains["B0"]) == (13515, 17486)
    for name in SET.particles:
        written = enumerate_chains(SET, name)
        assert len(written) == len(set(written)) == chains[name]


def test_chains_without_baryons(tmp_path):
    """Would catch a count that is right by accident: 13325 and 17319 for the mesonic channels alone."""
    folder = copy_set(tmp_path)
    for name in ("p_plus", "Lambda0", "Sigma_plus", "Lambda_c_plus"):
        (folder / f"{name}.toml").unlink()
    for name, n in (("B_plus", 29), ("B0", 26)):
        path = folder / f"{name}.toml"
        path.write_text("".join(re.split(r"(?=\[\[channel\]\])", path.read_text())[: n + 1]))
    mesonic = load_channel_set(folder)
    assert mesonic.n_channels == 110
    assert (count_chains(mesonic)["B+"], count_chains(mesonic)["B0"]) == (13325, 17319)


def test_identifiers():
    """Would catch two channels that share a model file, or a name that a file system refuses."""
    names = [c.identifier for c in SET.channels()]
    assert len({n.lower() for n in names}) == 145
    assert all(re.fullmatch(r"[A-Za-z0-9_+-]{1,80}", n) for n in names)


def test_lookup_of_particles():
    """Would catch a conjugate or a generic label that is not understood."""
    for name in ("D0", "anti-D0", "D0:generic", "anti-D0:generic"):
        assert SET.particle(name).name == "D0"
    with pytest.raises(UnknownNameError, match=r"no particle 'D1'\. Nearest known: 'D0'"):
        SET.particle("D1")


def test_expansion_against_itertools():
    """Would catch a changed order of features: models match them by position."""
    for n in range(6):
        for k, name in ((1, "decayAngle({})"), (2, "daughterAngle({},{})"), (3, "daughterInvariantMass({},{},{})")):
            expected = [name.format(*c) for c in combinations(range(n), k)]
            assert list(feature_names.expand([name], n)) == expected


@pytest.mark.parametrize(("name", "message"), [
    ("Mm", "unknown variable 'Mm'"), ("daughter(2,p)", "'daughter(2,p)' needs 3 daughters, the channel has 2."),
    ("daughterAngle(0,0)", "must differ"), ("daughterAngle(0)", "got 1 argument(s)"), ("abs(dM", "not closed"),
    ("useRestframe(p)", "Nearest known: 'useRestFrame'"), ("useRestFrame(daughter(0,q))", "unknown variable 'q'"),
    ("decayAngle({})", "unexpected character '{'"),
])
def test_bad_features(name, message):
    """Would catch a typing error that only the reconstruction would meet, hours later."""
    with pytest.raises((UnknownNameError, ExpressionError), match=re.escape(message)):
        feature_names.check(name, 2)


def test_variables_of_the_combination_are_known_before_the_fit():
    """Would catch a quantity that the combination prunes on, but that the fit would change."""
    from fei_lite.kernels.combination_codes import VARIABLES

    assert {known_of(name) for name in VARIABLES} == {"always"}


# Hand-made sets, each with one defect.

def copy_set(tmp_path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "mine"))


def toml(particle, *channels, cuts='""', rest="", target="isSignal", rank="abs(dM)", feature='"M"'):
    text = (f'particle = "{particle}"\ntarget = "{target}"\ncuts = {cuts}\nrank = {{ by = "{rank}", keep = "lowest", '
            f'best = 20 }}\npost = {{ best = 10 }}\nfeatures = [{feature}]\n{rest}\n')
    return text + "".join(f"[[channel]]\ndaughters = {json.dumps(c)}\n" for c in channels)


def leaf(name):
    return toml(name, [f"{name}:FSP"], rank="p", feature='"p"')


def small(**extra):
    """K_S0 -> pi+ pi- and D0 -> K- pi+, K- pi+ pi0: a set that is right, then changed."""
    return {"pi": leaf("pi+"), "K": leaf("K+"), "gamma": leaf("gamma"), "pi0": toml("pi0", ["gamma", "gamma"]),
            "KS": toml("K_S0", ["pi+", "pi-"], ["K_S0:V0"]),
            "D0": toml("D0", ["K-", "pi+"], ["K-", "pi+", "pi0"]), **extra}


def write(tmp_path, texts):
    folder = tmp_path / "small"
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        if text is not None:
            (folder / f"{name}.toml").write_text(text)
    return folder


def test_small_set_is_right(tmp_path):
    """The unchanged set must load: the defects below are then the only ones."""
    made = load_channel_set(write(tmp_path, small()))
    assert count_chains(made)["D0"] == 2
    assert made.stages == (("gamma", "pi+", "K+"), ("pi0", "K_S0"), ("D0",))


WIDE = '"M < 3.0"'
def d0(*channels, swap=("", ""), **options):
    """The file of the D0 of the small set, changed."""
    return {"D0": toml("D0", *channels, **options).replace(*swap)}


DEFECTS = {
    "unknown particle": (d0(["K-", "pi+"], ["K_S", "pi0"]),
                         "D0.toml: channel[1].daughters[0]: unknown particle 'K_S'. Nearest known: 'K_S0'."),
    "unknown mother": ({"D0": toml("DO", ["K-", "pi+"])}, "D0.toml: particle: unknown particle 'DO'."),
    "wrong charge": (d0(["K-", "pi-"]),
                     "D0.toml: channel[0].daughters: charge -2 of K- pi-, expected 0 of 'D0'."),
    "threshold": (d0(["K-", "K+", "K_S0", "K_S0"]),
                  "daughters: the daughters have at least 1.983 GeV, 'D0' at most 1.865 GeV."),
    "missing daughter": (d0(["K-", "pi+", "omega"]),
                         "channel[0].daughters[2]: no file of the set makes 'omega'."),
    "cycle": (d0(["D*+", "pi-"], cuts=WIDE) | {"Dst": toml("D*+", ["D0", "pi+"])}, "cycle: D*+ <-> D0."),
    "own daughter": (d0(["D0", "pi0"], cuts=WIDE), "cycle: D0."),
    "duplicate": (d0(["K-", "pi+"], ["K-", "pi+"]),
                  "channel[1].daughters: 'K- pi+' is the same as channel[0], 'K- pi+'."),
    "permutation": (d0(["K-", "pi+", "pi0"], ["pi0", "K-", "pi+"]), "'pi0 K- pi+' is the same as channel[0]"),
    "particle twice": ({"D0bar": toml("anti-D0", ["K+", "pi-"])}, "'anti-D0' is already made by"),
    "unknown key": (d0(["K-", "pi+"], rest="targets = 1"), "D0.toml: targets: unknown key 'targets'. "
                    "Nearest known: 'target'."),
    "missing key": (d0(["K-", "pi+"], swap=("post = { best = 10 }", "")), "D0.toml: post: missing."),
    "no channels": ({"D0": toml("D0")}, "D0.toml: channel: missing."),
    "empty channels": (d0(rest="channel = []"), "D0.toml: channel: no channels."),
    "no daughters": (d0([]), "D0.toml: channel[0].daughters: no daughters."),
    "one daughter": (d0(["K_S0"]), "one daughter, 'K_S0'."),
    "feature": (d0(["K-", "pi+"], feature='"M", "chiprob"'),
                "D0.toml: features[1]: column 1: unknown variable 'chiprob'. Nearest known: 'chiProb'."),
    "feature twice": (d0(["K-", "pi+"], feature='"M", "M"'), "features[1]: 'M' is there already"),
    "feature beyond": ({"pi0": toml("pi0", ["gamma", "gamma"], feature='"daughterAngle(0,2)"')},
                       "'daughterAngle(0,2)' needs 3 daughters, the channel has 2."),
    "no feature": (d0(["K-", "pi+"], feature=""), "D0.toml: features: no features."),
    "cut after the fit": (d0(["K-", "pi+"], cuts='"M > 1.7 and chiProb > 0.1"'),
                          "D0.toml: cuts: 'chiProb > 0.1' is known after the fit only. Put it into post_fit_cuts."),
    "cut on the output": (d0(["K-", "pi+"], rest='post_fit_cuts = "SignalProbability > 0.1"'),
                          "post_fit_cuts: 'SignalProbability > 0.1' is known after the classifier only. "
                          "post.min_signal_probability cuts"),
    "cut name": (d0(["K-", "pi+"], cuts='"1.7 < m < 1.9"'),
                 "D0.toml: cuts: column 7: unknown variable 'm'. Nearest known: 'M'."),
    "cut syntax": (d0(["K-", "pi+"], cuts='"1.7 < M < "'), "D0.toml: cuts: column 10: expected a name, a number"),
    "cut number": (d0(["K-", "pi+"], cuts='"M"'), "cuts: column 1: expected a comparison, like M > 0."),
    "cut daughters": (d0(["K-", "pi+"], cuts='"daughter(2, p) > 1"'),
                      "cuts: 'daughter(2,p) > 1' needs 3 daughters, channel[0] has 2."),
    "cut order": (d0(["K-", "pi+"], cuts='"2 < M < 1.9"'), "cuts: nothing passes 2 < M < 1.9."),
    "cut nothing": (d0(["K-", "pi+"], cuts='"1 < 2"'), "cuts: '1 < 2' cuts on no variable."),
    "cut type": (d0(["K-", "pi+"], cuts="5"), "D0.toml: cuts: got 5, expected a text like"),
    "old cut open": (d0(["K-", "pi+"], cuts='[{ variable = "M" }]'), "cuts[0]: cuts nothing."),
    "old cut key": (d0(["K-", "pi+"], cuts='[{ variable = "M", minimun = 1, maximum = 2 }]'),
                    "cuts[0].minimun: unknown key 'minimun'. Nearest known: 'minimum'."),
    "old cut nan": (d0(["K-", "pi+"], cuts='[{ variable = "M", minimum = nan }]'), "expected a finite number"),
    "old region": ({"gamma": leaf("gamma").replace('""', '[{ variable = "E", minimum = 1, region = "barel" }]', 1)},
                        "unknown region 'barel'. Nearest known: 'barrel'."),
    "ranking": (d0(["K-", "pi+"], rank="abs(DM)"), "rank.by: column 5: unknown variable 'DM'. Nearest known: 'dM'."),
    "ranking after the fit": (d0(["K-", "pi+"], rank="chiProb"), "rank.by: 'chiProb' is known after the fit only."),
    "ranking order": (d0(["K-", "pi+"], swap=('"lowest"', '"low"')),
                      "rank.keep: got 'low', expected: 'highest' or 'lowest'."),
    "number": (d0(["K-", "pi+"], swap=("best = 20", "best = 0")), "rank.best: got 0, expected: "),
    "number type": (d0(["K-", "pi+"], swap=("best = 10", "best = true")), "post.best: got True, expected: "),
    "probability": (d0(["K-", "pi+"], swap=("{ best", "{ min_signal_probability = 1.5, best")),
                    "post.min_signal_probability: got 1.5, expected: less than 1."),
    "target": (d0(["K-", "pi+"], target="isSignal2"), "unknown target 'isSignal2'. Nearest known: 'isSignal'."),
    "mass fit": (d0(["K-", "pi+"], rest='fit = "mass"'), "a mass fit is for two photons only."),
    "wrong list": (d0(["D0:FSP"]), "events have no list 'D0:FSP'."),
    "other list": ({"pi": toml("pi+", ["K+:FSP"], rank="p", feature='"p"')},
                   "the list 'K+:FSP' makes 'K+', not 'pi+'."),
    "list as daughter": (d0(["K-:FSP", "pi+"]), "the list 'K-:FSP' can only be the one daughter"),
    "daughters type": (d0(["K-", "pi+"], swap=('["K-", "pi+"]', '"K- pi+"')),
                       "channel[0].daughters: got 'K- pi+', expected: "),
    "particle type": (d0(["K-", "pi+"], swap=('"D0"', "421")), "D0.toml: particle: got 421, expected: a valid string."),
    "syntax": ({"D0": "particle = \n"}, "D0.toml: cannot be read as TOML: Invalid value (at line 1, column 12)"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_defects(tmp_path, defect):
    """Would catch a defect that is passed on silently, or hidden behind others; each is the only finding."""
    texts, message = DEFECTS[defect]
    with pytest.raises(ChannelFileError) as caught:
        load_channel_set(write(tmp_path, small(**texts)))
    assert message in str(caught.value)
    assert caught.value.exit_code == 1
    assert len(caught.value.findings) == 1, caught.value.findings


def test_all_findings_at_once(tmp_path):
    """Would catch a loader that stops at the first defect."""
    texts = small(D0=toml("D0", ["K-", "pi-"], ["K_S", "pi0"], feature='"MM"'), pi0="x = [",
                  KS=toml("K_S0", ["pi+", "pi+"]))
    with pytest.raises(ChannelFileError, match="5 findings in channel set 'small'") as caught:
        load_channel_set(write(tmp_path, texts))
    assert sorted(re.search(r"\w+\.toml: [\w.\[\]]*", f)[0] for f in caught.value.findings) == [
        "D0.toml: channel[0].daughters", "D0.toml: channel[1].daughters[0]", "D0.toml: features[0]",
        "KS.toml: channel[0].daughters", "pi0.toml: cannot"]


def test_doubts_are_warnings(tmp_path):
    """Would catch a doubt that forbids the FEI's own channels: conjugate final states, suppressed flavours."""
    assert any("B0.toml: channel[12].daughters: 'D- D*+ K_S0' is the same as channel[11]" in w for w in SET.warnings)
    suppressed = [w for w in SET.warnings if "suppressed" in w]
    assert [re.search(r"B_plus.toml: channel\[(\d+)\]", w)[1] for w in suppressed] == ["33", "34"]
    made = load_channel_set(write(tmp_path, small(D0=toml("D0", ["K-", "pi+"], ["K+", "pi-"]))))
    assert len(made.warnings) == 2


def test_hash_follows_the_content(tmp_path):
    """Would catch models being used with other channels, or refused after a change of a comment."""
    folder = copy_set(tmp_path)
    assert load_channel_set(folder).hash == SET.hash
    path = folder / "D0.toml"
    path.write_text("# another comment\n" + path.read_text())
    path.rename(folder / "zz.toml")
    assert load_channel_set(folder).hash == SET.hash
    path = folder / "zz.toml"
    path.write_text(path.read_text().replace("1.95", "1.96"))
    assert load_channel_set(folder).hash != SET.hash


def test_hash_of_the_decays(tmp_path):
    """Would catch enrichment measured anew for another cut or ranking, or kept for other decays or another order."""
    texts = small()
    made = load_channel_set(write(tmp_path, texts))
    other_cut = texts | {"D0": texts["D0"].replace("best = ", "best = 1")}
    assert other_cut["D0"] != texts["D0"]
    cut = load_channel_set(write(tmp_path, other_cut))
    assert cut.hash != made.hash and cut.decays_hash == made.decays_hash
    channels = (["K-", "pi+"], ["K_S0", "pi0"])
    hashes = {load_channel_set(write(tmp_path, small(D0=toml("D0", *some)))).decays_hash
              for some in (channels, channels[::-1], channels[:1])}
    assert len(hashes) == 3


def test_places(tmp_path, monkeypatch):
    """Would catch a set that is found in a checkout but not in a wheel: inside the package comes first."""
    package = tmp_path / "site-packages" / "fei_lite"
    monkeypatch.setattr(files, "PLACES", (package / "decay_channels", package.parent / "decay_channels"))
    with pytest.raises(ChannelFileError, match="no channel set 'hadronic'"):
        load_channel_set("hadronic")
    shutil.copytree(SHIPPED, package.parent / "decay_channels" / "hadronic")
    assert load_channel_set("hadronic").path.parent.parent == package.parent
    shutil.copytree(SHIPPED, package / "decay_channels" / "hadronic")
    assert load_channel_set("hadronic").path.parent.parent == package
    with pytest.raises(ChannelFileError, match="Nearest known: 'hadronic'"):
        load_channel_set("hadronik")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ChannelFileError, match="no channel files"):
        load_channel_set(tmp_path / "empty")


# The command.

def command(capsys, *words):
    from fei_lite.cli import channels

    parser = argparse.ArgumentParser()
    channels.configure(parser)
    code = channels.run(parser.parse_args(words))
    return code, capsys.readouterr()


def test_command_chains(capsys):
    """Would catch a changed JSON layout."""
    code, out = command(capsys, "chains", "--set", "hadronic", "--format", "json")
    assert code == 0
    assert json.loads(out.out) == {"set": "hadronic", "n_channels": 145, "n_chains": {"B+": 13515, "B0": 17486}}
    assert "B0" in command(capsys, "chains")[1].out


def test_command_check(capsys, tmp_path):
    """Would catch findings that do not reach the exit code, one line each."""
    assert command(capsys, "check")[0] == 0
    folder = write(tmp_path, small(D0=toml("D0", ["K-", "pi-"], ["K_S", "pi0"])))
    code, out = command(capsys, "check", "--set", str(folder))
    assert code == 1
    assert len(out.out.splitlines()) == 3
    code, out = command(capsys, "check", "--set", str(folder), "--format", "json")
    assert code == 1
    assert len(json.loads(out.out)["findings"]) == 2
    code, out = command(capsys, "check", "--set", "nowhere")
    assert code == 2
    assert out.out == ""


def test_command_list_and_draw(capsys, tmp_path):
    """Would catch a lost channel or edge, and a figure or text that is not written."""
    listed = json.loads(command(capsys, "list", "--format", "json")[1].out)
    assert len(listed) == 145
    entry = next(entry for entry in listed if entry["identifier"] == "D0_K-_pi+_pi+_pi-")
    assert entry == {"particle": "D0", "decayModeID": 3, "daughters": ["K-", "pi+", "pi+", "pi-"], "stage": 3,
                     "n_features": 49, "fit": "vertex", "unflavoured": False, "identifier": "D0_K-_pi+_pi+_pi-"}
    assert len(command(capsys, "list")[1].out.splitlines()) == 146
    dot = command(capsys, "draw")[1].out
    assert dot.count("->") == SET.graph.number_of_edges()
    assert '"gamma" -> "pi0" [label=1];' in dot
    for suffix, start in ((".svg", b"<?xml"), (".png", b"\x89PNG"), (".dot", b"digraph")):
        target = tmp_path / f"graph{suffix}"
        assert command(capsys, "draw", "-o", str(target))[0] == 0
        assert target.read_bytes().startswith(start)


def test_examples_in_the_help(capsys, tmp_path, monkeypatch):
    """Would catch an example that does not run."""
    from fei_lite.cli import channels

    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"fei-lite channels (.+)", channels.__doc__)
    assert len(examples) == 4
    for example in examples:
        assert command(capsys, *example.split())[0] == 0


def test_extended_set_has_the_default_channels_under_their_numbers():
    """A set that dropped or moved a default channel would not find what the default set finds."""
    extended = load_channel_set("extended")
    assert extended.stages == SET.stages
    for name, particle in SET.particles.items():
        ours = [c.daughters for c in extended.particles[name].channels]
        assert ours[:len(particle.channels)] == [c.daughters for c in particle.channels]
        assert len(set(ours)) == len(ours)
    assert len(list(extended.channels())) > len(list(SET.channels()))
