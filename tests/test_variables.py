"""Names, expressions and cuts: the grammar against Python's own, evaluation against one candidate at a time."""

from __future__ import annotations

import doctest
import importlib
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fei_lite import variables
from fei_lite.errors import ExpressionError, FeiLiteError, UnknownNameError
from fei_lite.variables.grammar import MAX_DEPTH, MAX_LENGTH, parse
from fei_lite.variables.tree import canonical

COLUMNS = {"x": np.array([0.5, -2.0, 3.0, np.nan]), "y": np.array([1.0, 2.0, -1.0, 4.0]), "n": np.array([1, 2, 0, 4])}


def python_value(text, row):
    """What Python makes of an expression of one row; NaN where it refuses."""
    names = {name: float(values[row]) for name, values in COLUMNS.items()}
    try:
        return eval(text, {"abs": abs, "min": min, "max": max, "nan": math.nan}, names)
    except (ZeroDivisionError, OverflowError):
        return math.nan


def random_expression(rng, depth):
    if depth == 0 or rng.random() < 0.2:
        return rng.choice(["x", "y", "n", "2", "0.5", "3"])
    inner = [random_expression(rng, depth - 1) for _ in range(2)]
    return rng.choice(["({} + {})", "{} - {}", "{} * {}", "({} / {})", "-{}", "abs({})", "({}) ** 2",
                       "({} - ({} + 1))", "2 - {} - {}"]).format(*inner)


def random_condition(rng, depth):
    if depth == 0 or rng.random() < 0.2:
        parts = [random_expression(rng, 2) for _ in range(3)]
        op = [rng.choice(["<", "<=", ">", ">=", "=="]) for _ in range(2)]
        return f"{parts[0]} {op[0]} {parts[1]}" + (f" {op[1]} {parts[2]}" if rng.random() < 0.5 else "")
    inner = [random_condition(rng, depth - 1) for _ in range(2)]
    return rng.choice(["({} and {})", "{} or {}", "not ({})", "(not {} and ({}))", "{} and {} or x > 0"]).format(*inner)


def test_grammar_against_python():
    """Would catch a wrong precedence, associativity or bracket, and a spelling that means something else."""
    rng = random.Random(4)
    for _ in range(400):
        text = random_expression(rng, 4)
        got = variables.evaluate([text, canonical(parse(text))], COLUMNS)
        for row in range(3):
            want = python_value(text, row)
            for values in got.values():
                assert values[row] == pytest.approx(want, rel=1e-12, nan_ok=True), (text, canonical(parse(text)))


def test_conditions_against_python():
    """Would catch and, or and not in the wrong order, and a chain of which only one side is looked at."""
    rng = random.Random(5)
    passed = 0
    for _ in range(400):
        text = random_condition(rng, 3)
        found = variables.parse_cut(text, columns=COLUMNS).passes(COLUMNS)
        again = variables.parse_cut(canonical(parse(text)), columns=COLUMNS).passes(COLUMNS)
        wanted = [bool(python_value(text, row)) for row in range(3)]
        if "/" not in text:  # of a division by zero Python makes an error, not an undefined value
            assert found[:3].tolist() == again[:3].tolist() == wanted, text
            passed += sum(wanted)
    assert 100 < passed < 1000


@pytest.mark.parametrize("cut", ["x > 0", "x < 0", "x >= 0", "x <= 0", "x == x", "x != 1", "not x > -9 and x != 0",
                                 "-9 < x < 9", "x - x == 0", "abs(x) > 0", "x / 0 > 1", "1 / (y - y) > 1"])
def test_undefined_fails_every_comparison(cut):
    """Would catch NaN, or a division by zero, that passes a cut."""
    assert not variables.parse_cut(cut, columns=COLUMNS).passes(COLUMNS)[3]


def test_spellings_of_basf2():
    """Would catch a bracket style or operator of basf2 that means something else."""
    one = variables.parse_cut("[x > 0.1 and [y < 2 or n > 3]]", columns=COLUMNS)
    for text in ("x > 0.1 && (y < 2 || n > 3)", "0.10<x and !(y >= 2 and not n>3)"):
        assert variables.parse_cut(text, columns=COLUMNS).passes(COLUMNS).tolist() == one.passes(COLUMNS).tolist()
    assert variables.parse_cut("x > 1 # a comment\n and y < 2", columns=COLUMNS) == variables.parse_cut(
        "x>1 and [y<2]", columns=COLUMNS)


ERRORS = {
    "M >": (4, "expected a name, a number or a bracket, got the end"), "M > 1 1": (7, "unexpected '1'"),
    "abs(M": (4, "'abs(' is not closed"), "[M > 1)": (7, "expected ']'"), "M $ 1": (3, "unexpected character '$'"),
    "kaonId > 0.9": (1, "unknown variable 'kaonId'. Nearest known: 'kaonID'"),
    "daugther(0, p) > 1": (1, "unknown function 'daugther'. Nearest known: 'daughter'"),
    "daughter(0) > 1": (1, "daughter(i, x) got 1 argument"), "daughter(p, 0) > 1": (10, "a whole number from 0"),
    "daughter(1.5, p) > 1": (10, "a whole number from 0"),
    "daughter(0, M > 1) > 1": (13, "a variable or an expression"),
    "p and E > 1": (1, "expected a comparison, like p == 1"), "p > (M > 1)": (6, "expected a number"),
    "roeEextra(0) > 1": (11, "expected a name for mask"), "__import__(os) > 1": (1, "unknown function '__import__'"),
    "p.real > 1": (2, "unexpected character '.'"), "lambda > 1": (1, "unknown variable 'lambda'"),
    "M > 1e999": (5, "too large"), "": (1, "empty"), "daughter > 1": (1, "takes arguments"), "M": (1, "a comparison"),
}


@pytest.mark.parametrize("text", [text for text in ERRORS if text])
def test_errors_name_file_column_and_nearest_name(text):
    """Would catch an error that points at the wrong place, or a text that is executed as code."""
    column, message = ERRORS[text]
    with pytest.raises((UnknownNameError, ExpressionError)) as caught:
        variables.parse_cut(text, where="D0.toml: cuts")
    first, shown, caret = str(caught.value).split("\n")
    assert first.startswith(f"D0.toml: cuts: column {column}: ") and message in first, first
    assert shown[4:] == text and caret[4:] == " " * (column - 1) + "^"


def test_limits():
    """Would catch a text that exhausts the stack or the memory instead of being refused."""
    for text in ("(" * 10_000 + "1", "-" * 5000 + "1", "not " * 2000 + "M > 1", "f(" * 5000, "2**" * 3000 + "1",
                 "M + " * MAX_LENGTH, "abs(" * (MAX_DEPTH + 1) + "M" + ")" * (MAX_DEPTH + 1)):
        with pytest.raises(ExpressionError, match=r"nested more than|characters; at most|expected|not closed"):
            parse(text)
    deep = "abs(" * 49 + "x" + ")" * 49
    assert variables.evaluate([deep], COLUMNS)[deep][1] == 2.0
    long = " + ".join(["x"] * 2000)
    assert variables.evaluate([long], COLUMNS)[long][1] == -4000.0


@pytest.mark.parametrize(("text", "low", "high"), [
    ("0.4 < M < 0.6", 0.4, 0.6), ("M > 0.4", 0.4, math.inf), ("0.6 > M", -math.inf, 0.6), ("-0.2 < M", -0.2, math.inf),
    ("0.6 > M >= 0.4", math.nextafter(0.4, 0), 0.6), ("M == 2", math.nextafter(2, 0), math.nextafter(2, 3)),
    ("M <= 1", -math.inf, math.nextafter(1, 2)),
])
def test_intervals_mean_the_comparison(text, low, high):
    """Would catch a mirrored or lost limit: what the combination prunes on must be what the cut says."""
    interval = variables.parse_cut(text).interval
    assert (interval.variable, interval.low, interval.high) == ("M", low, high)
    values = np.array([0.4, 0.6, 1.0, 2.0, -0.2, np.nan, *np.nextafter([0.4, 0.6, 1, 2, -0.2], 9),
                       *np.nextafter([0.4, 0.6, 1, 2, -0.2], -9)])
    inside = (values > interval.low) & (values < interval.high)
    assert np.array_equal(variables.parse_cut(text).passes({"M": values}), inside) and inside.any()


def test_what_is_no_interval():
    """Would catch an alternative or a comparison of two variables that is taken for a window."""
    for text in ("M > 1 or M < 0", "M > E", "M != 1", "1 < 2", "not M > 1", "1 < M < E", "1 < 2 < M"):
        assert variables.parse_cut(text).interval is None, text


def test_columns_may_have_any_name():
    """Would catch a column of an ntuple that is computed anew, or not found, because its name is an expression."""
    columns = {"KSFWVariables(hso02)": [1.0, 2.0], "daughter(0, p)": [3.0, 4.0], "abs(dM)": [9.0, 9.0]}
    got = variables.evaluate(["KSFWVariables( hso02 ) + 1", "daughter(0,p)", "abs(dM)"], columns)
    assert [values.tolist() for values in got.values()] == [[2.0, 3.0], [3.0, 4.0], [9.0, 9.0]]
    with pytest.raises(UnknownNameError, match="no column 'kaonID'"):
        variables.evaluate(["kaonID"], columns)
    with pytest.raises(UnknownNameError, match="Nearest known: 'tagWidth'"):
        variables.evaluate(["tagwidht"], {"tagWidth": [1.0]})
    with pytest.raises(FeiLiteError, match="different length"):
        variables.evaluate(["a"], {"a": [1.0], "b": [1.0, 2.0]})


def test_functions_of_numbers():
    """Would catch a swapped branch or argument."""
    got = variables.evaluate(["conditional(x > 0, y, n)", "min(x, y)", "max(x, y, n)", "ifNANgiveX(x, -1)", "isNAN(x)",
                              "absDeltaPhi(x, y)", "passesCut(1 < y < 3)", "sqrt(y)", "formula(2 * x + 1)"], COLUMNS)
    assert [values.tolist()[:3] for values in list(got.values())[:3]] == [[1, 2, -1], [0.5, -2, -1], [1, 2, 3]]
    assert got["ifNANgiveX(x, -1)"][3] == -1 and got["isNAN(x)"].tolist() == [0, 0, 0, 1]
    assert got["passesCut(1 < y < 3)"].tolist() == [0, 1, 0, 0]
    np.testing.assert_allclose(got["absDeltaPhi(x, y)"][:3], [0.5, 2 * math.pi - 4, 2 * math.pi - 4])
    assert np.isnan(got["sqrt(y)"][2]) and got["formula(2 * x + 1)"][1] == -3


def test_every_variable_is_described():
    """Would catch a variable without a meaning, without a word on NaN, or without a source."""
    found = variables.listed()
    assert len(found) > 200
    for variable in found:
        assert variable.meaning and variable.nan and variable.source, variable.name
        assert variable.unit in ("", "GeV", "GeV^2", "cm", "rad", "ns", "e", "of x"), variable.name
        assert variable.meaning.endswith("...") or not variable.meaning.endswith("."), variable.name
    for name in ("kaonID", "daughterProductOf", "roeEextra", "KSFWVariables", "cosTBTO", "mcErrors", "useCMSFrame"):
        assert variables.find(name) if not variables.listed(name)[0].needs_arguments else True


def test_names_are_taken_once():
    """Would catch a variable that silently replaces another, and units that get lost in an expression."""
    with pytest.raises(UnknownNameError, match="registered already"):
        variables.register("p", unit="", meaning="x", nan="never", source="x")(len)
    with pytest.raises(UnknownNameError, match="letters, digits"):
        variables.register("a b", unit="", meaning="x", nan="never", source="x")(len)
    assert variables.find("useRestFrame(daughter(0, abs(p)))").unit == "GeV"
    assert variables.find("daughter(0, p) - daughter(1, E)").unit == "GeV"
    assert variables.find("clusterTiming").unit == "ns"


def test_page_is_up_to_date():
    """Would catch a table in the documentation that no longer says what the registry does."""
    page = Path(__file__).resolve().parents[1] / "docs" / "variables.md"
    assert page.read_text(encoding="utf-8") == variables.as_markdown(), "run scripts/write_variable_table.py"


def test_command(capsys):
    """Would catch a changed layout, and an expression that is not understood."""
    import json

    from fei_lite.cli import main

    assert main(["variables", "roe*", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"name", "unit", "definition", "nan", "source", "of", "known"} == set(rows[0])
    assert "roeEextra(mask=)" in {row["name"] for row in rows}
    assert main(["variables", "daughter(0, useCMSFrame(p))"]) == 0
    assert "[GeV]" in capsys.readouterr().out
    assert main(["variables", "kaonId"]) == 2
    assert "Nearest known: 'kaonID'" in capsys.readouterr().err


def test_modules_of_ones_own(tmp_path):
    """Would catch commands that do not know a user's variables, or a module that is lost without a word."""
    (tmp_path / "mine.py").write_text("from fei_lite import variables\n@variables.register('pOverE', unit='', "
                                      "meaning='p / E', nan='E is 0', source='me')\ndef _(subject):\n    return 1\n")
    def run(module):
        path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        return subprocess.run([sys.executable, "-c", "from fei_lite.cli import main; main(['variables', 'pOverE'])"],
                              capture_output=True, text=True, check=False,
                              env={**os.environ, "FEI_LITE_VARIABLES": module, "PYTHONPATH": path})

    assert "p / E" in run("mine").stdout
    assert "the module 'miner' cannot be imported" in run("mine:miner").stderr


def test_names_are_light():
    """Would catch a look-up of a name that compiles kernels or loads a plotting library."""
    code = ("import sys; from fei_lite import variables; variables.parse_cut('M > 1 and roeEextra < 2'); "
            "print(*{name.partition('.')[0] for name in sys.modules})")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"matplotlib", "lightgbm", "pythia8mc", "uproot"}


@pytest.mark.parametrize("module", ["grammar", "tree", "registry", "names", "evaluation", "cuts", "tracks"])
def test_numbers_in_docstrings(module):
    """The numbers of the docstrings."""
    assert doctest.testmod(importlib.import_module(f"fei_lite.variables.{module}")).failed == 0
