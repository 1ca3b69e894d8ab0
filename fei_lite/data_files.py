"""Data files, read strictly: TOML and JSON against a model of their structure.

Whatever a user may write or receive (channel sets, masks, recipes, workspaces,
manifests) comes in through here, so that a wrong key is never lost in silence
and a hostile file never costs more than an error. A structure is a pydantic
model derived from :class:`Strict`::

    class Point(Strict):
        name: str
        values: tuple[float, ...]

    point = read_toml("point.toml", Point, error=AnalysisError)

Every defect is a line "file: path inside it: what is wrong, and the nearest
name". Checked before the structure: size, depth, finite numbers, whole numbers
of 64 bits, keys given once.
"""

from __future__ import annotations

import json
import math
import os
import stat
import tomllib
import types
import typing
from collections.abc import Iterator, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, RootModel, ValidationError

from fei_lite.errors import FeiLiteError, nearest

#: Largest file that is read, in bytes.
MAX_BYTES = 64 * 2**20
#: Deepest nesting of lists and tables.
MAX_DEPTH = 40
#: Whole numbers stay within 64 bits.
_LARGEST = 2**63
#: Findings that one error shows.
_SHOWN = 20

Source = str | os.PathLike[str] | Traversable


class Strict(BaseModel):
    """A table of a data file: unknown keys and wrong types are defects; frozen once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


Model = TypeVar("Model", bound=BaseModel)


def read_toml(source: Source, model: type[Model], *, where: str = "",
              error: type[FeiLiteError] = FeiLiteError) -> Model:
    """The content of a TOML file; raises ``error`` with every defect. ``where`` names the file in messages."""
    shown = where or str(source)
    return validated(toml_content(source, where=shown, error=error), model, where=shown, error=error)


def read_json(source: Source, model: type[Model], *, where: str = "",
              error: type[FeiLiteError] = FeiLiteError) -> Model:
    """The content of a JSON file; raises ``error`` with every defect. ``where`` names the file in messages."""
    shown = where or str(source)
    return validated(json_content(read_text(source, where=shown, error=error), where=shown, error=error), model,
                     where=shown, error=error)


def read_text(source: Source, *, where: str = "", error: type[FeiLiteError] = FeiLiteError) -> str:
    """The text of a regular file of at most :data:`MAX_BYTES`, line ends as ``\\n``; raises ``error``."""
    shown = where or str(source)
    try:
        text = read_bytes(source, where=where, error=error).decode("utf-8")
    except UnicodeDecodeError as found:
        raise error(f"{shown}: not text in UTF-8 (byte {found.start}).") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(source: Source, *, where: str = "", error: type[FeiLiteError] = FeiLiteError) -> bytes:
    """The bytes of a regular file of at most :data:`MAX_BYTES`; raises ``error``."""
    shown = where or str(source)
    try:
        if not isinstance(source, str | os.PathLike):
            return source.read_bytes()
        path = Path(source)
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise error(f"{shown}: not a regular file. Name a file.")
        if status.st_size > MAX_BYTES:
            raise error(f"{shown}: {status.st_size / 2**20:.0f} MiB, expected at most {MAX_BYTES // 2**20} MiB.")
        return path.read_bytes()
    except (OSError, ValueError) as found:
        if isinstance(found, FeiLiteError):
            raise
        reason = getattr(found, "strerror", None) or str(found)
        raise error(f"{shown}: cannot be read: {reason}.") from None


def toml_content(source: Source, *, where: str = "", error: type[FeiLiteError] = FeiLiteError) -> dict[str, Any]:
    """The tables of a TOML file as plain values, within the limits."""
    shown = where or str(source)
    return parsed_toml(read_text(source, where=shown, error=error), where=shown, error=error)


def parsed_toml(text: str, *, where: str, error: type[FeiLiteError] = FeiLiteError) -> dict[str, Any]:
    """The tables of a TOML text as plain values, within the limits."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as found:
        raise error(f"{where}: cannot be read as TOML: {found}") from None
    except RecursionError:
        raise error(f"{where}: nested too deeply, expected at most {MAX_DEPTH} levels.") from None
    except ValueError as found:  # a whole number with thousands of digits
        raise error(f"{where}: cannot be read as TOML: {found}") from None
    check_limits(content, where=where, error=error)
    return content


def json_content(text: str | bytes, *, where: str, error: type[FeiLiteError] = FeiLiteError,
                 finite: bool = True) -> Any:
    """The value of a JSON text, within the limits; a key given twice is a defect, with ``finite`` NaN as well."""
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise error(f"{where}: the key '{_shortened(twice)}' stands twice in one object.")
        return table

    if len(text) > MAX_BYTES:
        raise error(f"{where}: {len(text) / 2**20:.0f} MiB, expected at most {MAX_BYTES // 2**20} MiB.")
    try:
        content = json.loads(text, object_pairs_hook=once)
    except RecursionError:
        raise error(f"{where}: nested too deeply, expected at most {MAX_DEPTH} levels.") from None
    except FeiLiteError:
        raise
    except ValueError as found:  # also of a whole number with thousands of digits
        raise error(f"{where}: cannot be read as JSON: {found}.") from None
    check_limits(content, where=where, error=error, finite=finite)
    return content


def check_limits(content: Any, *, where: str, error: type[FeiLiteError] = FeiLiteError, finite: bool = True) -> None:
    """Raise ``error`` for numbers that do not fit 64 bits (``finite``: or are not finite), and for deep nesting."""
    for path, value, depth in _walk(content):
        if depth > MAX_DEPTH:
            raise error(f"{where}: {_shown(path[:4])}...: nested too deeply, expected at most {MAX_DEPTH} levels.")
        if finite and isinstance(value, float) and not math.isfinite(value):
            raise error(f"{where}: {_shown(path)}: got {value}, expected a finite number.")
        if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
            raise error(f"{where}: {_shown(path)}: a whole number beyond 64 bits.")


def _walk(content: Any) -> Iterator[tuple[tuple[str | int, ...], Any, int]]:
    """Every value with its path and depth; without recursion, and no deeper than the first too deep one."""
    stack: list[tuple[tuple[str | int, ...], Any, int]] = [((), content, 0)]
    while stack:
        path, value, depth = stack.pop()
        yield path, value, depth
        if isinstance(value, dict):
            stack += [((*path, str(key)), inner, depth + 1) for key, inner in reversed(value.items())]
        elif isinstance(value, list):
            stack += [((*path, i), inner, depth + 1) for i, inner in reversed(list(enumerate(value)))]


def validated(content: Any, model: type[Model], *, where: str, error: type[FeiLiteError] = FeiLiteError) -> Model:
    """``content`` (plain values) as the model; raises ``error`` with every defect, a line each."""
    try:  # by way of JSON, where a list may stand for a tuple
        return model.model_validate_json(json.dumps(content, default=_not_plain), strict=True)
    except ValidationError as found:
        lines = list(dict.fromkeys(f"{where}: {line}" for line in findings(found, model)))
        more = [f"... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        raise error("\n  ".join([*lines[:_SHOWN], *more])) from None
    except _NotPlainError as found:
        raise error(f"{where}: a {found} stands in it, expected texts, numbers, truth values, lists, "
                    "tables.") from None


class _NotPlainError(TypeError):
    """A value that no data file of ours holds, such as a date."""


def _not_plain(value: object) -> Any:
    raise _NotPlainError(type(value).__name__)


def findings(found: ValidationError, model: type[BaseModel]) -> list[str]:
    """The defects that pydantic found, as lines "path: what is wrong"."""
    lines = []
    for one in found.errors(include_url=False):
        place = [part for part in one["loc"] if isinstance(part, int) or not _is_tag(part)]
        path = _shown(place)
        if one["type"] == "extra_forbidden":
            key = str(place[-1])
            lines.append(f"{path}: unknown key '{_shortened(key)}'.{nearest(key, _keys_at(model, place[:-1]))}")
        elif one["type"] == "missing":
            lines.append(f"{path}: missing.")
        elif one["type"] == "value_error":
            lines.append(f"{path}: {one['ctx']['error']}" if path else str(one["ctx"]["error"]))
        else:
            lines.append(f"{path}: got {_shortened(repr(one['input']))}, expected: {_plain(one['msg'])}.")
    return lines


def _is_tag(part: str) -> bool:
    """Whether a part of pydantic's path names a type of a union, not a key."""
    return part in ("str", "int", "float", "bool", "none", "dict") or "[" in part or ("-" in part and "(" in part)


def _plain(message: str) -> str:
    return message.removeprefix("Input should be ").removeprefix("Input ").rstrip(".")


def _shortened(text: str, length: int = 60) -> str:
    return text if len(text) <= length else f"{text[:length]}..."


def _shown(path: Sequence[str | int]) -> str:
    """A path inside a file as text.

    >>> _shown(("channel", 2, "daughters", 1)), _shown(("hta", "a key"))
    ('channel[2].daughters[1]', "hta['a key']")
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif all(character.isalnum() or character in "_-" for character in part):
            text += f".{part}" if text else part
        else:
            text += f"['{_shortened(part)}']"
    return text or "the file"


def _keys_at(model: Any, path: Sequence[str | int]) -> list[str]:
    """Keys that a table at ``path`` may have."""
    found = [model]
    for part in path:
        found = [inner for one in found for inner in _inside(one, part)]
    return [field.alias or name for one in found for option in _options(one) if _is_model(option)
            for name, field in option.model_fields.items()]


def _options(annotation: Any) -> list[Any]:
    """The types that an annotation allows: those of a union, what a root model holds, or itself."""
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return _options(annotation.model_fields["root"].annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        return _options(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [option for inner in typing.get_args(annotation) for option in _options(inner)]
    return [annotation]


def _inside(annotation: Any, part: str | int) -> list[Any]:
    """Types of the value at ``part`` of a value of type ``annotation``."""
    found = []
    for option in _options(annotation):
        if _is_model(option):
            found += [field.annotation for name, field in option.model_fields.items() if part in (name, field.alias)]
        else:
            found += [inner for inner in typing.get_args(option)[-1 if isinstance(part, str) else 0:][:1]
                      if inner is not Ellipsis]
    return found


def _is_model(option: Any) -> bool:
    return isinstance(option, type) and issubclass(option, BaseModel)
