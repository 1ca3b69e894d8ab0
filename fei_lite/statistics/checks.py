"""Checks of a workspace: structure by pyhf's schema, then what the schema cannot know."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from fei_lite.errors import WorkspaceError, nearest

#: Modifiers whose data are one error per bin.
_PER_BIN = {"staterror", "shapesys"}


def check_workspace(spec: Any, *, name: str = "workspace") -> None:
    """Check structure, then meaning; raises :class:`WorkspaceError` with all findings at once."""
    import pyhf

    if not isinstance(spec, dict) or "channels" not in spec:
        keys = f"keys {', '.join(map(repr, list(spec)[:5]))}" if isinstance(spec, dict) else type(spec).__name__
        raise WorkspaceError(f"{name}: not a workspace: expected an object with 'channels', 'observations', "
                             f"'measurements' and 'version', got {keys or 'an empty object'}.")
    try:
        pyhf.schema.validate(spec, "workspace.json")
    except pyhf.exceptions.InvalidSpecification as error:
        place, message = _deepest(error.parent)
        raise WorkspaceError(f"{name}: {place}: {message}") from None
    findings = list(_findings(spec))
    if findings:
        more = f"\n({len(findings)} findings)" if len(findings) > 1 else ""
        raise WorkspaceError("\n".join(f"{name}: {finding}" for finding in findings[:20]) + more)


def _deepest(error: Any) -> tuple[str, str]:
    """Place and message of a schema's complaint; of a modifier that fits no form, what the form of its type misses."""
    forms: dict[Any, list[Any]] = {}
    for inner in error.context or ():
        forms.setdefault(inner.relative_schema_path[0], []).append(inner)
    # a form that has the modifier's type complains about something else than the type
    fitting = [inners for inners in forms.values() if all(list(i.relative_path) != ["type"] for i in inners)]
    if fitting:
        missing = [i for i in fitting[0] if i.message.startswith("'type'")]
        return _deepest((missing or fitting[0])[0])
    if forms and isinstance(error.instance, dict) and "type" in error.instance:
        known = sorted({str(i.validator_value) for inners in forms.values() for i in inners
                        if list(i.relative_path) == ["type"]})
        kind = str(error.instance["type"])
        return (f"{_place(error.absolute_path)}.type",
                f"unknown modifier '{kind}'. Known: {', '.join(known)}.{nearest(kind, known)}")
    return _place(error.absolute_path), str(error.message)[:300]


def _place(path: Collection[Any]) -> str:
    text = "".join(f"[{item}]" if isinstance(item, int) else f".{item}" for item in path)
    return text.lstrip(".") or "top level"


def _findings(spec: dict[str, Any]) -> Iterator[str]:
    """What the schema cannot know: lengths, repeated names, numbers that mean nothing."""
    observed = {o["name"]: (i, o["data"]) for i, o in enumerate(spec["observations"])}
    for kind in ("channels", "observations", "measurements"):
        for name, count in Counter(item["name"] for item in spec[kind]).items():
            if count > 1:
                yield f"{kind}: '{name}' is there {count} times"
    known = [c["name"] for c in spec["channels"]]
    for name, (i, _) in observed.items():
        if name not in known:
            yield f"observations[{i}]: no channel is called '{name}'.{nearest(name, known)}"
    for i, channel in enumerate(spec["channels"]):
        n_bins = len(channel["samples"][0]["data"])
        if channel["name"] not in observed:
            yield f"channels[{i}]: '{channel['name']}' has no observation.{nearest(channel['name'], observed)}"
        else:
            j, data = observed[channel["name"]]
            yield from _bins(data, f"observations[{j}].data", n_bins, minimum=0.0)
        for k, sample in enumerate(channel["samples"]):
            place = f"channels[{i}].samples[{k}]"
            yield from _bins(sample["data"], f"{place}.data", n_bins)
            for m, modifier in enumerate(sample["modifiers"]):
                yield from _modifier(modifier, f"{place}.modifiers[{m}]", sample["data"])


def _bins(data: Sequence[float], place: str, n_bins: int, *, minimum: float = -math.inf) -> Iterator[str]:
    if len(data) != n_bins:
        yield f"{place}: {len(data)} bins, expected {n_bins} as in the channel's first sample"
    for i, value in enumerate(data):
        if not math.isfinite(value) or value < minimum:
            yield f"{place}[{i}]: {value}: expected a finite number" + (" of 0 or more" if minimum == 0.0 else "")


def _modifier(modifier: Mapping[str, Any], place: str, values: Sequence[float]) -> Iterator[str]:
    where, n_bins = f"{place} ('{modifier['name']}', {modifier['type']})", len(values)
    data: Any = modifier.get("data")
    if modifier["type"] in _PER_BIN:
        yield from _bins(data, where, n_bins, minimum=0.0)
        for i, (value, error) in enumerate(zip(values, data)):
            if not value > 0.0 and error > 0.0:
                yield f"{where}[{i}]: an error of {error:g} on {value:g} events is no factor. Give the bin a floor"
    elif modifier["type"] == "histosys":
        for key in ("lo_data", "hi_data"):
            yield from _bins(data[key], f"{where}.{key}", n_bins)
    elif modifier["type"] == "normsys":
        for key in ("lo", "hi"):
            if not (math.isfinite(data[key]) and data[key] > 0.0):
                yield f"{where}.{key}: {data[key]}: expected a factor above 0"
