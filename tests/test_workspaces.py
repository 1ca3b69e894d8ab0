"""Workspaces: what is refused with file and place, and the command line."""

from __future__ import annotations

import json
import re

import pytest
from fit_workspaces import counting, shapes

from fei_lite.cli import fit as fit_command
from fei_lite.cli import main
from fei_lite.errors import FeiLiteError, FitError, WorkspaceError
from fei_lite.statistics.fits import fit_strength
from fei_lite.statistics.from_templates import Channel, build_workspace
from fei_lite.statistics.limits import upper_limit
from fei_lite.statistics.workspaces import open_likelihood, read_workspace, save_workspace
from fei_lite.templates import Template

pyhf = pytest.importorskip("pyhf")


@pytest.fixture(scope="module")
def built():
    return open_likelihood(shapes())


# --- errors -------------------------------------------------------------------------------------------------------

def broken(change):
    spec = json.loads(json.dumps(shapes()))
    change(spec)
    return spec


def set_at(spec, value, *path):
    for key in path[:-1]:
        spec = spec[key]
    if value is None:
        del spec[path[-1]]
    else:
        spec[path[-1]] = value


SAMPLE = ("channels", 0, "samples", 1)
CASES = {
    "no data": (None, (*SAMPLE, "data"), r"channels\[0\]\.samples\[1\]: 'data' is a required property"),
    "a word": ("many", (*SAMPLE, "data", 2), r"channels\[0\]\.samples\[1\]\.data\[2\]: 'many' is not of type 'number'"),
    "unknown modifier": ("normsis", (*SAMPLE, "modifiers", 1, "type"),
                         r"samples\[1\]\.modifiers\[1\]\.type: unknown modifier 'normsis'.*Nearest known: 'normsys'"),
    "half a modifier": (None, (*SAMPLE, "modifiers", 1, "data", "lo"),
                        r"samples\[1\]\.modifiers\[1\]\.data: 'lo' is a required property"),
    "no measurements": (None, ("measurements",), "top level: 'measurements' is a required property"),
    "short": ([1.0], (*SAMPLE, "data"), r"channels\[0\]\.samples\[1\]\.data: 1 bins, expected 4"),
    "not finite": (float("nan"), (*SAMPLE, "data", 0),
        r"channels\[0\]\.samples\[1\]\.data\[0\]: got nan, expected a finite number"),
    "negative": (-1.0, ("observations", 0, "data", 3), r"observations\[0\]\.data\[3\]: -1: .* 0 or more"),
    "unobserved": ("bin", ("observations", 0, "name"), r"'bins' has no observation. Nearest known: 'bin'"),
    "error on nothing": (0.0, (*SAMPLE, "data", 3),
        r"channels\[0\]: 'mcstat_bins_generic' \(staterror\)\[3\]: an error"),
    "negative factor": (-0.1, (*SAMPLE, "modifiers", 1, "data", "lo"), r"\('norm', normsys\)\.lo: -0.1: .* above 0"),
    "poi": ("mus", ("measurements", 0, "config", "poi"),
            r"measurements\[0\]\.config\.poi: parameter of interest 'mus' scales no sample.*Nearest known: 'mu'"),
    "no poi": ("", ("measurements", 0, "config", "poi"), "no parameter of interest is named.*continuum_norm, mu"),
    "two kinds": ("norm", (*SAMPLE, "modifiers", 0, "name"), "pyhf builds no model of it"),
}


@pytest.mark.parametrize("case", CASES)
def test_broken_workspace(case, tmp_path, capsys):
    """Would catch a traceback of pyhf, or a message that does not name the file and the place."""
    value, path, message = CASES[case]
    file = tmp_path / "w.json"
    file.write_text(json.dumps(broken(lambda spec: set_at(spec, value, *path))))
    with pytest.raises(WorkspaceError, match=message) as caught:
        open_likelihood(file)
    assert str(file) in str(caught.value)
    assert main(["fit", str(file)]) == 2
    assert "WorkspaceError" in capsys.readouterr().err


@pytest.mark.parametrize("content, message", [
    (b"{", "cannot be read as JSON: .*line 1 column 2"), (b"[]",
        "not a workspace: expected an object with 'channels'.*list"),
    (b'{"a": 1}', "not a workspace.*keys 'a'"), (b"\x93\xff", "not text in UTF-8"), (b"", "line 1 column 1"),
    (None, "No such file")])
def test_no_workspace(content, message, tmp_path):
    """Would catch any file that is no workspace and ends in a traceback."""
    file = tmp_path / "w.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(WorkspaceError, match=message) as caught:
        read_workspace(file)
    assert str(file) in str(caught.value)


def test_fits_that_have_no_answer():
    """Would catch numbers where there is no answer."""
    with pytest.raises(FitError, match="nothing depends on 'mu'"):
        fit_strength(open_likelihood(counting(50, signal=0.0)))
    spec = build_workspace([Channel("c", [Template("s", [1.0, 0.0], signal=True)], [1.0, 2.0])], allow_empty=True)
    with pytest.raises(FitError, match=r"the likelihood is zero: bins c\[1\]"):
        fit_strength(open_likelihood(spec))


def test_an_empty_bin_is_no_harm():
    """Would catch NaN from a bin that neither expects nor holds an event."""
    with_bin = build_workspace([Channel("c", [Template("s", [1.0, 0.0], errors=[0.1, 0.0], signal=True),
                                              Template("b", [2.0, 0.0])], [4.0, 0.0])])
    without = build_workspace([Channel("c", [Template("s", [1.0], errors=[0.1], signal=True), Template("b", [2.0])],
        [4])])
    fits = [fit_strength(open_likelihood(spec)) for spec in (with_bin, without)]
    assert fits[0].best_fit == pytest.approx(fits[1].best_fit, abs=1e-5)
    assert fits[0].error_down == pytest.approx(fits[1].error_down, rel=1e-4)


@pytest.mark.parametrize("options, message", [
    ({"level": 90.0}, "between 0 and 1"), ({"toys": -1}, "-1 toys"), ({"toys": 5}, "give rng")])
def test_limits_refuse(options, message, built):
    """Would catch 90 taken for 90 %, and hidden randomness."""
    with pytest.raises(FeiLiteError, match=message):
        upper_limit(built, **options)


# --- command line -------------------------------------------------------------------------------------------------

def test_example_of_the_help(tmp_path, monkeypatch, capsys):
    """Would catch an example that no longer runs."""
    monkeypatch.chdir(tmp_path)
    save_workspace(shapes(), "workspace.json")
    examples = re.findall(r"^    fei-lite (fit .+)$", fit_command.__doc__, flags=re.MULTILINE)
    assert len(examples) == 3
    assert [main(example.split()) for example in examples] == [0, 0, 0] and "significance" in capsys.readouterr().out


def test_command_line(tmp_path, capsys):
    """Would catch options that change nothing, and tables that disagree with the JSON."""
    file = tmp_path / "w.json"
    save_workspace(shapes(), file)
    assert main(["fit", str(file), "--level", "0.95", "--format", "json", "-o", str(tmp_path / "fit.json")]) == 0
    result = json.loads((tmp_path / "fit.json").read_text())
    limit = upper_limit(open_likelihood(file), level=0.95)
    assert result["upper_limit_95"]["observed"] == pytest.approx(limit.observed)
    assert main(["fit", str(file), "--level", "0.95"]) == 0
    table = capsys.readouterr().out
    for number in (result["mu"]["best_fit"], result["significance"], *result["upper_limit_95"]["expected"]):
        assert f"{number:.2f}" in table
    assert main(["fit", str(file), "--poi", "continuum_norm", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["poi"] == "continuum_norm"
    assert main(["fit", str(file), "--poi", "norm"]) == 2
    assert "--poi: parameter of interest 'norm' scales no sample" in capsys.readouterr().err
    assert main(["fit", str(file), "--measurement", "measurment"]) == 2
    assert "Nearest known: 'measurement'" in capsys.readouterr().err
