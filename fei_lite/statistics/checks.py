"""Checks of a workspace: structure by pyhf's schema, then what the schema cannot know."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from fei_lite.data_files import check_limits
from fei_lite.errors import WorkspaceError, nearest

#: Modifiers whose data are one error per bin.
_PER_BIN = {"staterror", "shapesys"}

#: Most values in a workspace: pyhf's schema takes some 10 us for each.
MAX_VALUES = 500_000

#: Most events in a bin, and most by which a modifier may change them: beyond, a Poisson number has no last digit.
MAX_EVENTS = 1e15

#: Largest factor of a normsys, and the inverse of the least: at 5 standard deviations its fifth power counts.
MAX_FACTOR = 1e6


def check_workspace(spec: Any, *, name: str = "workspace") -> None:
    """Check structure, then meaning; raises :class:`WorkspaceError` with all findings at once."""
    import pyhf

    if not isinstance(spec, dict) or "channels" not in spec:
        keys = f"keys {', '.join(map(repr, list(spec)[:5]))}" if isinstance(spec, dict) else type(spec).__name__
        raise WorkspaceError(f"{name}: not a workspace: expected an object with 'channels', 'observations', "
                             f"'measurements' and 'version', got {keys or 'an empty object'}.")
    check_limits(spec, where=name, error=WorkspaceError)
    n_values = _count(spec)
    if n_values > MAX_VALUES:
        raise WorkspaceError(f"{name}: {n_values} values, expected at most {MAX_VALUES}.")
    try:
        pyhf.schema.validate(spec, "workspace.json")
    except pyhf.exceptions.InvalidSpecification as error:
        place, message = _deepest(error.parent)
        raise WorkspaceError(f"{name}: {place}: {message}") from None
    findings = list(_findings(spec))
    if findings:
        more = f"\n({len(findings)} findings)" if len(findings) > 1 else ""
        raise WorkspaceError("\n".join(f"{name}: {finding}" for finding in findings[:20]) + more)


def _count(spec: Any) -> int:
    """Numbers, texts and empty places in a workspace whose depth has been checked."""
    if isinstance(spec, dict | list):
        return sum(map(_count, spec.values() if isinstance(spec, dict) else spec))
    return 1


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
        yield from _twice(channel["samples"], f"channels[{i}].samples", "name")
        for k, sample in enumerate(channel["samples"]):
            place = f"channels[{i}].samples[{k}]"
            yield from _bins(sample["data"], f"{place}.data", n_bins)
            yield from _twice(sample["modifiers"], f"{place}.modifiers", "name", "type")
            for m, modifier in enumerate(sample["modifiers"]):
                yield from _modifier(modifier, f"{place}.modifiers[{m}]", sample["data"])
        yield from _shared_errors(channel["samples"], f"channels[{i}]", n_bins)
    yield from _settings(spec)


def _twice(items: Sequence[Mapping[str, Any]], place: str, *keys: str) -> Iterator[str]:
    """What pyhf would silently read as one."""
    for name, count in Counter(tuple(str(item[key]) for key in keys) for item in items).items():
        if count > 1:
            yield f"{place}: {', '.join(map(repr, name))} is there {count} times"


def _shared_errors(samples: Sequence[Mapping[str, Any]], place: str, n_bins: int) -> Iterator[str]:
    """Errors of the templates: samples that share one are summed, so that a sample may be empty but not the sum."""
    sums: dict[str, tuple[list[float], list[float]]] = {}
    for sample in samples:
        for modifier in sample["modifiers"]:
            if modifier["type"] == "staterror" and len(sample["data"]) == len(modifier["data"]) == n_bins:
                total, errors = sums.setdefault(modifier["name"], ([0.0] * n_bins, [0.0] * n_bins))
                for i, (value, error) in enumerate(zip(sample["data"], modifier["data"])):
                    total[i] += value
                    errors[i] = max(errors[i], error)
    for name, (total, errors) in sums.items():
        for i, (value, error) in enumerate(zip(total, errors)):
            if error > 0.0 and not value > 0.0:
                yield (f"{place}: '{name}' (staterror)[{i}]: an error of {error:g} on {value:g} events is no factor. "
                       "Give the bin a floor")


def _settings(spec: Mapping[str, Any]) -> Iterator[str]:
    """Starts and bounds of parameters."""
    for i, measurement in enumerate(spec["measurements"]):
        for k, setting in enumerate(measurement["config"]["parameters"]):
            place = f"measurements[{i}].config.parameters[{k}]"
            for j, bounds in enumerate(setting.get("bounds", ())):
                if len(bounds) != 2 or not bounds[0] < bounds[1]:
                    yield f"{place}.bounds[{j}]: {bounds}: expected a lower and an upper bound"
            for j, sigma in enumerate(setting.get("sigmas", ())):
                if not sigma > 0.0:
                    yield f"{place}.sigmas[{j}]: {sigma:g}: expected an error above 0"


def _bins(data: Sequence[float], place: str, n_bins: int, *, minimum: float = -math.inf) -> Iterator[str]:
    if len(data) != n_bins:
        yield f"{place}: {len(data)} bins, expected {n_bins} as in the channel's first sample"
    for i, value in enumerate(data):
        if not abs(value) <= MAX_EVENTS or value < minimum:
            yield (f"{place}[{i}]: {value:g}: expected a number " + ("of 0 or more, " if minimum == 0.0 else "")
                   + f"up to {MAX_EVENTS:g}")


def _modifier(modifier: Mapping[str, Any], place: str, values: Sequence[float]) -> Iterator[str]:
    where, n_bins = f"{place} ('{modifier['name']}', {modifier['type']})", len(values)
    data: Any = modifier.get("data")
    if modifier["type"] in _PER_BIN:
        yield from _bins(data, where, n_bins, minimum=0.0)
        for i, (value, error) in enumerate(zip(values, data)):
            if not value > 0.0 and error > 0.0 and modifier["type"] == "shapesys":
                yield f"{where}[{i}]: an error of {error:g} on {value:g} events is no factor. Give the bin a floor"
    elif modifier["type"] == "histosys":
        for key in ("lo_data", "hi_data"):
            yield from _bins(data[key], f"{where}.{key}", n_bins)
    elif modifier["type"] == "normsys":
        for key in ("lo", "hi"):
            if not 1.0 / MAX_FACTOR <= data[key] <= MAX_FACTOR:
                yield (f"{where}.{key}: {data[key]:g}: expected a factor above 0, of {1.0 / MAX_FACTOR:g} to "
                       f"{MAX_FACTOR:g}")
