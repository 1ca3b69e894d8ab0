"""Text of a decay file to statements: decaylanguage's grammar, and small additions to it.

What EvtGen reads and the grammar of decaylanguage 1.1 does not, kept apart so that
it can go upstream:

- layout: EvtGen reads words, not lines. Several modes on one line, ``Enddecay`` after a mode, a
  block that begins where another ends, Windows line ends and a byte-order mark are all the same to it;
- the file ends at the first ``End``, whatever follows;
- a mode may have several flags before its model (``PHOTOS PHOTOS``, ``VERBOSE``, ``SUMMARY``);
- ``normalPhotos``, ``BlattWeisskopfBirth``, ``RemoveDecay`` and the switches of incoherent mixing;
- models that decaylanguage does not list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from fei_lite.errors import SimulationError, nearest
from fei_lite.generator.decay_files.models import known_models
from fei_lite.generator.decay_files.statements import DecayLine, Statement

#: Changes of decaylanguage's grammar: (as it stands, as EvtGen has it).
_ADDITIONS = (
    ("decayline : value particle* photos? model _NEWLINE+", "decayline : value particle* photos* model _NEWLINE+"),
    ('photos : "PHOTOS"', 'photos : "PHOTOS" | "VERBOSE" | "SUMMARY"'),
    ('| "noPhotos"  -> no', '| "noPhotos"  -> no\n | "normalPhotos" -> normal'),
    ('setlsbw : "BlattWeisskopf" LABEL', 'setlsbw : ("BlattWeisskopf" | "BlattWeisskopfBirth") LABEL'),
    ("?line : define |", "?line : define | removedecay | mixing |"),
    ('cdecay : "CDecay" LABEL', 'cdecay : "CDecay" LABEL\n'
     'removedecay : "RemoveDecay" particle _NEWLINE+ decayline* "Enddecay"\n'
     'mixing : LABEL_MIXING (LABEL | SIGNED_NUMBER)*\n'
     'LABEL_MIXING : "yesIncoherentB0Mixing" | "noIncoherentB0Mixing" | "yesIncoherentBsMixing"'
     ' | "noIncoherentBsMixing" | "noB0Mixing" | "noBsMixing"'),
)

#: Rules of the grammar whose first word belongs to the rule, and the keyword of the others.
_KEYWORDS = {
    "define": "Define", "particle_def": "Particle", "jetset_def": "JetSetPar", "model_alias": "ModelAlias",
    "alias": "Alias", "chargeconj": "ChargeConj", "cdecay": "CDecay", "copydecay": "CopyDecay", "decay": "Decay",
    "removedecay": "RemoveDecay", "setlspw": "SetLineshapePW", "setlsbw": "BlattWeisskopf",
}
_PHOTOS = {"yes": "yesPhotos", "no": "noPhotos", "normal": "normalPhotos"}
_BREAK_BEFORE = ("Decay", "RemoveDecay", "Enddecay")


def statements_of(text: str, place: str) -> tuple[Statement, ...]:
    """The statements of a decay file in their order; ``place`` is its name in errors.

    Raises :class:`SimulationError` with the line that is not understood.

    >>> one = statements_of("Decay B+ 1.0 K+ pi0 PHSP; Enddecay", "x.dec")[0]
    >>> one.keyword, one.words, one.modes[0].daughters, one.modes[0].model
    ('Decay', ('B+',), ('K+', 'pi0'), 'PHSP')
    """
    from lark import UnexpectedInput

    lines, numbers = laid_out(text)
    try:
        tree = _parser().parse("\n".join(lines) + "\n")
    except UnexpectedInput as error:
        row = getattr(error, "line", -1) - 1
        if not 0 <= row < len(lines):
            row = len(lines) - 1
        raise SimulationError(_not_understood(place, numbers[row] if lines else 1, lines[row] if lines else "",
                                              error)) from None
    return tuple(_statement(node, numbers) for node in tree.children)


def laid_out(text: str) -> tuple[list[str], list[int]]:
    """Lines as decaylanguage's grammar wants them, and the number of the line in ``text`` that each comes from.

    >>> laid_out("Decay B0 # c\\n1. K+ pi- PHSP; Enddecay\\nEnd\\nmore")
    (['Decay B0', '1. K+ pi- PHSP;', 'Enddecay'], [1, 2, 2])
    """
    lines: list[str] = []
    numbers: list[int] = []
    words: list[str] = []
    start, needs_name = 0, False

    def close() -> None:
        if words:
            lines.append(" ".join(words))
            numbers.append(start)
            words.clear()

    for number, word, ends in _words(text):
        if word == "End":
            break
        if word in _BREAK_BEFORE:
            close()
        if not words:
            start = number
        words.append(word)
        if needs_name or word == "Enddecay" or word.endswith(";"):
            needs_name = False
            close()
        elif word in ("Decay", "RemoveDecay"):
            needs_name = True
        elif ends and not _open_mode(words):
            close()
    close()
    return lines, numbers


def _words(text: str) -> Iterator[tuple[int, str, bool]]:
    """(line number, word, whether it is the last one of its line); ';' ends a word, comments are gone."""
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        found = re.findall(r"[^\s;]*;+|[^\s;]+", re.sub(r";(\s*;)+", ";", line.partition("#")[0]))
        for i, word in enumerate(found):
            yield number, word, i == len(found) - 1


def _open_mode(words: list[str]) -> bool:
    """Whether a line that ends here goes on: a mode or model alias without its ';'."""
    return words[0] == "ModelAlias" or re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", words[0]) is not None


@cache
def _parser() -> Any:
    """decaylanguage's parser of decay files with the additions."""
    from decaylanguage import DecFileParser
    from lark import Lark

    reader = DecFileParser()
    reader.load_additional_decay_models(*known_models())
    grammar, info = reader.grammar(), reader.grammar_info()
    for theirs, ours in _ADDITIONS:
        if theirs not in grammar:
            raise SimulationError(f"decaylanguage's grammar has changed: no '{theirs}' in it.")
        grammar = grammar.replace(theirs, ours)
    return Lark(grammar, parser=info["parser"], lexer=info["lexer"], edit_terminals=info["edit_terminals"],
                propagate_positions=True)


def _statement(node: Any, numbers: list[int]) -> Statement:
    """A statement from its tree."""
    rule = str(node.data)
    tokens = list(node.scan_values(lambda token: hasattr(token, "line")))
    line = numbers[node.meta.line - 1]
    if rule in ("decay", "removedecay"):
        modes = tuple(_decay_line(child, numbers) for child in node.children[1:])
        return Statement(_KEYWORDS[rule], line, (str(tokens[0]),), modes)
    if rule == "global_photos":
        return Statement(_PHOTOS[str(node.children[0].data)], line, ())
    words = tuple(str(token) for token in tokens)
    if rule in _KEYWORDS:
        return Statement(_KEYWORDS[rule], line, words)
    return Statement(words[0], line, words[1:])


def _decay_line(node: Any, numbers: list[int]) -> DecayLine:
    """A mode of a block from its tree."""
    fraction = node.children[0].children[0]
    daughters = tuple(str(child.children[0]) for child in node.children if child.data == "particle")
    model, *parameters = [str(token) for token in node.children[-1].scan_values(lambda token: True)]
    return DecayLine(numbers[fraction.line - 1], float(fraction), daughters, model, tuple(parameters))


def _not_understood(place: str, number: int, line: str, error: Exception) -> str:
    """The message for a line that the grammar refuses."""
    words = line.rstrip("; ").split()
    head = f"{place}: line {number}: '{line}' is not understood"
    if words and _open_mode(words):
        if not line.endswith(";"):
            return f"{head}: a mode ends with ';'."
        if not set(words) & set(known_models()):
            numberless = [word for word in words if not _open_mode([word])]
            guess = numberless[-1] if numberless else words[-1]
            return f"{head}: no decay model of EvtGen in it.{nearest(guess, known_models())}"
    column = getattr(error, "column", 0)
    return f"{place}: not an EvtGen decay file: line {number}: '{line}' is not understood (column {column})."


def word_list(words: Iterable[str]) -> str:
    """Words for a message, or 'none'."""
    return ", ".join(words) or "none"
