"""Variables of reconstructed candidates: by hand from the tables, through channel files, cuts, ranking and training."""

from __future__ import annotations

import naive_features as naive
import naive_roe
import numpy as np
import pytest
from small_set import write_decays, write_small_set

from fei_lite import variables
from fei_lite.channels import load_channel_set
from fei_lite.errors import ChannelFileError, ExpressionError, FeiLiteError, UnknownNameError
from fei_lite.particles import mass
from fei_lite.production.simulate import simulate
from fei_lite.reconstruction.engine import NoClassifiers, reconstruct
from fei_lite.roe import find_mask

HEAD = """particle = "{name}"
target = "isSignal"
classifier = "none"
cuts = "{cuts}"
{more}
rank = {{ by = "{rank}", keep = "{keep}", best = {best} }}
post = {{ best = {best} }}
"""


def particle(name, *channels, cuts="", more="", rank="p", keep="highest", best=8):
    text = HEAD.format(name=name, cuts=cuts, more=more, rank=rank, keep=keep, best=best)
    return text + "".join(f"[[channel]]\ndaughters = {list(c)!r}\n".replace("'", '"') for c in channels)


def write(folder, **d0):
    """pi+, K+, pi0, D0 and B+ without classifiers."""
    folder.mkdir()
    lists = {"pi": particle("pi+", ["pi+:FSP"], rank="pionID", cuts="dr < 2"),
             "K": particle("K+", ["K+:FSP"], rank="kaonID", cuts="dr < 2 and kaonID > 0.1"),
             "gamma": particle("gamma", ["gamma:FSP"], rank="E", cuts="E > 0.1"),
             "pi0": particle("pi0", ["gamma", "gamma"], rank="abs(dM)", keep="lowest", cuts="0.1 < M < 0.16"),
             "D0": particle("D0", ["K-", "pi+"], ["K-", "pi+", "pi0"], **{
                 "cuts": "1.7 < M < 1.95", "rank": "abs(dM)", "keep": "lowest"} | d0),
             "B": particle("B+", ["anti-D0", "pi+"], cuts="Mbc > 5.2 and abs(deltaE) < 0.5",
                           rank="daughterProductOf(SignalProbability)")}
    for name, text in lists.items():
        (folder / f"{name}.toml").write_text(text)
    return load_channel_set(folder)


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    decays = write_decays(tmp_path_factory.mktemp("decays") / "signal.dec")
    return next(iter(simulate("signal", 120, seed=4, dec_file=decays)))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return write(tmp_path_factory.mktemp("sets") / "plain")


@pytest.fixture(scope="module")
def result(batch, plain):
    return reconstruct(batch, plain, NoClassifiers())


def test_daughters_of_daughters_by_hand(result):
    """Would catch a daughter of another candidate, channel or frame: one candidate at a time."""
    table = result.tables["B+"]
    names = ["daughter(0, daughter(1, p))", "daughter(0, daughter(2, M))", "useRestFrame(daughter(0, daughter(0, p)))",
             "daughter(0, useRestFrame(daughter(0, p)))", "daughter(0, daughterInvariantMass(0, 1))",
             "daughterSumOf(E)", "daughterDiffOf(0, 1, pt)", "daughterHighest(charge)", "daughter(0, nDaughters)",
             "countDaughters(p > 1)", "useCMSFrame(daughterAngle(0, 1))", "InvM", "daughter(0, Q)", "PDG"]
    got = variables.evaluate(names, variables.Subject(table, result=result))
    assert len(table) > 30 and set(result.tables["D0"]["decayModeID"]) == {0, 1}
    beam = result.batch.events["beam_p4"]
    for i in range(len(table)):
        d0, pi = (result.tables[name] for name in ("D0", "pi+"))
        a, b = table["daughters"][i, :2]
        inner = [result.tables[name]["p4"][row] for name, row in zip(
            ("K+", "pi+", "pi0"), d0["daughters"][a], strict=True) if row >= 0]
        p_d, p_pi = d0["p4"][a], pi["p4"][b]
        rest_b, rest_d = naive.boost_matrix(table["p4"][i]), naive.boost_matrix(p_d)
        cms = naive.boost_matrix(beam[table.event_index[i]])
        u, v = (cms @ p_d)[:3], (cms @ p_pi)[:3]
        wanted = [np.linalg.norm(inner[1][:3]), np.nan if len(inner) < 3 else result.tables["pi0"]["M"][
            d0["daughters"][a, 2]], np.linalg.norm((rest_b @ inner[0])[:3]), np.linalg.norm((rest_d @ inner[0])[:3]),
            naive.mass(inner[0] + inner[1]), p_d[3] + p_pi[3], np.hypot(*p_pi[:2]) - np.hypot(*p_d[:2]),
            max(0, pi["sign"][b]), len(inner), sum(np.linalg.norm(p[:3]) > 1 for p in (p_d, p_pi)),
            np.arccos(u @ v / np.sqrt((u @ u) * (v @ v))), naive.mass(p_d + p_pi),
            d0["M"][a] - sum(naive.mass(p) for p in inner), 521 * int(table["sign"][i])]
        for name, want in zip(names, wanted, strict=True):
            assert got[name][i] == pytest.approx(want, rel=1e-5, abs=1e-5, nan_ok=True), (i, name)


def test_rest_of_the_event_and_recoil_by_hand(result):
    """Would catch an object of the candidate in its rest, a mask that is not applied, a wrong sign of the recoil."""
    table, batch = result.tables["B+"], result.batch
    rows = np.arange(0, len(table), 4)
    names = ["nROE_Tracks(hta)", "roeEextra(hta)", "nROE_pi0(hta)", "roeCharge(hta)", "nROE_KLMClusters", "m2Recoil",
             "weMissM2(hta, 0)", "weMissE(hta, 5)", "pRecoil", "roeMbc(hta)", "daughter(0, nROE_Tracks)",
             "missingMass2OfEvent(hta)", "nTracks", "weMissM2(hta, 3)"]
    got = variables.evaluate(names, variables.Subject(table, rows, result=result))
    whole = variables.evaluate(["missingMass2OfEvent(hta)"], variables.Subject(None, batch=batch))
    for k, i in enumerate(rows):
        e = int(table.event_index[i])
        beam, p4 = batch.events["beam_p4"][e], table["p4"][i]
        left = naive_roe.rest(batch, e, naive_roe.of_bits(batch, e, table["used"][i]), find_mask("hta"))
        of_d = naive_roe.of_bits(batch, e, result.tables["D0"]["used"][table["daughters"][i, 0]])
        total = sum(left["tracks"] + left["photons"], np.zeros(4))
        every = naive_roe.rest(batch, e, set(), find_mask("hta"))
        lost, cms = beam - p4 - total, naive.boost_matrix(beam)
        half, star = naive.mass(beam) / 2, cms @ total
        m2 = half**2 - star[:3] @ star[:3]
        own = cms @ p4
        square = lambda p: p[3]**2 - p[:3] @ p[:3]  # noqa: E731
        wanted = [len(left["tracks"]), sum(p[3] for p in left["photons"]), left["n_pi0"], left["charge"], left["n_klm"],
                  square(beam - p4), square(lost), lost[3], np.linalg.norm((beam - p4)[:3]),
                  np.sqrt(m2) if m2 >= 0 else np.nan,
                  batch.tracks.counts[e] - sum(kind == "tracks" for kind, _ in of_d),
                  square(beam - sum(every["tracks"] + every["photons"], np.zeros(4))), batch.tracks.counts[e],
                  (half - own[3])**2 - own[:3] @ own[:3]]
        for name, want in zip(names, wanted, strict=True):
            assert got[name][k] == pytest.approx(want, rel=1e-5, abs=1e-5, nan_ok=True), (k, name)
        assert whole["missingMass2OfEvent(hta)"][e] == pytest.approx(wanted[11], rel=1e-5, abs=1e-5)
    with pytest.raises(ExpressionError, match="expected 0, 2, 3 or 5"):
        variables.evaluate(["weMissM2(hta, 1)"], variables.Subject(table, result=result))
    with pytest.raises(UnknownNameError, match="no mask 'htaa'"):
        variables.evaluate(["roeEextra(htaa)"], variables.Subject(table, result=result))
    with pytest.raises(FeiLiteError, match="only events"):
        variables.evaluate(["p"], variables.Subject(None, batch=batch))


def test_truth_by_hand(result):
    """Would catch the truth of another generated particle."""
    table, generated = result.tables["D0"], result.batch.generated
    got = variables.evaluate(["mcPDG", "genMotherPDG", "mcE", "isSignal", "nGenerated(421)", "useCMSFrame(mcE)"],
                             variables.Subject(table, result=result))
    assert table["isSignal"].any()
    for i, mc in enumerate(table["mc"]):
        e = table.event_index[i]
        codes = np.abs(generated["pdg"][generated.event_index == e])
        assert got["nGenerated(421)"][i] == np.count_nonzero(codes == 421)
        assert got["isSignal"][i] == table["isSignal"][i]
        if mc < 0:
            assert got["mcPDG"][i] == got["genMotherPDG"][i] == 0 and np.isnan(got["mcE"][i])
            continue
        mother = generated["mother"][mc]
        assert got["mcPDG"][i] == generated["pdg"][mc] and got["mcE"][i] == generated["p4"][mc, 3]
        above = generated["pdg"][mother + generated.offsets[e]] if mother >= 0 else 0
        assert got["genMotherPDG"][i] == above
        cms = naive.boost_matrix(result.batch.events["beam_p4"][e])
        assert got["useCMSFrame(mcE)"][i] == pytest.approx((cms @ generated["p4"][mc])[3])


def chosen(result, particle="D0"):
    """Event, sign, channel, daughters and rank of all candidates, in an order of their own."""
    t = result.tables[particle]
    return sorted(zip(t.event_index.tolist(), t["sign"].tolist(), t["decayModeID"].tolist(),
                      map(tuple, t["daughters"].tolist()), t["preCut_rank"].tolist(), strict=True))


def test_any_variable_ranks_and_cuts_combinations(batch, plain, result, tmp_path):
    """Would catch a cut or ranking beyond the kernel's that is applied late, to the daughters, or not at all."""
    spelled = write(tmp_path / "ranked", rank="1 * abs(dM)", cuts="0 < M - 1.7 < 0.25")
    again = reconstruct(batch, spelled, NoClassifiers())
    assert chosen(again) == chosen(result)  # the same choice, spelled so that the kernel does not know it

    cut = "daughterAngle(0, 1) < 1.2 and [daughter(0, kaonID) > 0.5 or useCMSFrame(p) > 1] and roeEextra > 0.5"
    everything = reconstruct(batch, write(tmp_path / "all", best=10_000), NoClassifiers())
    table = everything.tables["D0"]
    mode = table["decayModeID"]
    first = np.array([d["p4"][row] for d, row in ((everything.tables["K+"], r) for r in table["daughters"][:, 0])])
    second = everything.tables["pi+"]["p4"][table["daughters"][:, 1]]
    third = np.where((mode == 1)[:, None], everything.tables["pi0"]["p4"][table["daughters"][:, -1]], 0)
    summed = first + second + third  # the cuts come before the fit
    beam = batch.events["beam_p4"][table.event_index]
    length = np.sqrt((first[:, :3]**2).sum(1) * (second[:, :3]**2).sum(1))
    angle = np.arccos((first[:, :3] * second[:, :3]).sum(1) / length)
    star = np.array([np.linalg.norm((naive.boost_matrix(b) @ p)[:3]) for b, p in zip(beam, summed, strict=True)])
    kaon = variables.evaluate(["daughter(0, kaonID)", "roeEextra"], variables.Subject(table, result=everything))
    keep = (angle < 1.2) & ((kaon["daughter(0, kaonID)"] > 0.5) | (star > 1)) & (kaon["roeEextra"] > 0.5)
    near = np.abs(np.sqrt(summed[:, 3]**2 - (summed[:, :3]**2).sum(1)) - mass("D0"))
    best = set()
    for e, sign, m in {(e, s, m) for e, s, m in zip(table.event_index, table["sign"], mode, strict=True)}:
        here = np.flatnonzero(keep & (table.event_index == e) & (table["sign"] == sign) & (mode == m))
        best |= {(e, tuple(table["daughters"][i])) for i in here[np.argsort(near[here])][:2]}
    found = reconstruct(batch, write(tmp_path / "cut", cuts=f"1.7 < M < 1.95 and {cut}", best=2), NoClassifiers())
    t = found.tables["D0"]
    assert {(e, tuple(d)) for e, d in zip(t.event_index, t["daughters"], strict=True)} <= best
    per_channel = {name: count for _, name, step, count in found.cutflow if step == "best kept"}
    assert per_channel["D0_K-_pi+"] + per_channel["D0_K-_pi+_pi0"] == len(best)
    inside = {name: count for _, name, step, count in found.cutflow if step == "combinations inside the cuts"}
    assert inside["D0_K-_pi+"] + inside["D0_K-_pi+_pi0"] == np.count_nonzero(keep) > len(best) > 20


def test_cuts_after_the_fit(batch, result, tmp_path):
    """Would catch a cut on the vertex fit that is applied before it, or that lets NaN through."""
    cut = "chiProb > 0.2 and dr < 0.02"
    found = reconstruct(batch, write(tmp_path / "fit", more=f'post_fit_cuts = "{cut}"'), NoClassifiers())
    keep = variables.parse_cut(cut).passes(variables.Subject(result.tables["D0"], result=result))
    assert 5 < np.count_nonzero(keep) < len(keep)
    t = result.tables["D0"].select(keep)
    wanted = {(e, tuple(d)) for e, d in zip(t.event_index, t["daughters"], strict=True)}
    t = found.tables["D0"]
    assert {(e, tuple(d)) for e, d in zip(t.event_index, t["daughters"], strict=True)} == wanted
    with pytest.raises(ChannelFileError, match="Put it into post_fit_cuts"):
        write(tmp_path / "early", cuts=cut)


@pytest.fixture
def stretch():
    """A user's own variable."""
    @variables.register("stretch", unit="", meaning="p / E squared", nan="never", source="this test")
    def _(subject):
        return (subject.value("p") / subject.value("E"))**2

    yield "stretch"
    variables.unregister("stretch")


def test_a_variable_is_added_in_one_place(stretch, batch, tmp_path):
    """Would catch a registered variable that a channel file, a cut, a ranking or a training does not know."""
    found = reconstruct(batch, write(tmp_path / "set", cuts="1.7 < M < 1.95 and stretch > 0.3", rank="stretch"),
                        NoClassifiers())
    table = found.tables["D0"]
    p4 = table["p4"]
    values = (p4[:, :3]**2).sum(1) / p4[:, 3]**2
    got = variables.evaluate(["stretch", "daughter(0, stretch)", "abs(stretch) - 1"],
                             variables.Subject(table, result=found))
    np.testing.assert_allclose(got["stretch"], values)
    assert len(values) > 20 and (values > 0.29).all()
    variables.unregister("stretch")
    with pytest.raises(ChannelFileError, match="unknown variable 'stretch'"):
        load_channel_set(tmp_path / "set")


@pytest.mark.slow
def test_a_variable_is_trained_on(stretch, tmp_path):
    """Would catch a registered variable that classifiers cannot be trained on, or that a model set loses."""
    from fei_lite.classifiers.model_set import load_model_set
    from fei_lite.production.simulate import simulate_file
    from fei_lite.training.driver import Settings, train

    folder = write_small_set(tmp_path / "small")
    file = folder / "D0.toml"
    file.write_text(file.read_text().replace('"chiProb",', '"chiProb", "stretch", "daughter({},stretch)",', 1))
    simulate_file("signal", tmp_path / "events.root", n=250, seed=3, dec_file=write_decays(tmp_path / "signal.dec"))
    settings = Settings(name="small", tag_classifier=False, channel_set=str(folder), seed=3, min_entries=20,
                        batch_size=250, parameters={"n_trees": 10, "min_data_in_leaf": 10, "max_delta_step": 5.0})
    train([tmp_path / "events.root"], tmp_path / "models", settings=settings, date="2026-01-01")
    models = load_model_set(tmp_path / "models")
    assert models.has_model("D0_K-_pi+")
    channel = next(c for c in load_channel_set(folder).channels() if c.identifier == "D0_K-_pi+")
    assert {"stretch", "daughter(0,stretch)", "daughter(1,stretch)"} <= set(channel.features)
