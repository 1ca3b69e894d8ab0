"""Damage of bytes and of structures, drawn from a random generator."""

from __future__ import annotations

import json
import math
import os


def raw(data, rng):
    """Bytes with flipped bits, cut off, spliced, zeroed or doubled; what was done."""
    data = bytearray(data)
    what = str(rng.choice(["flip", "flips", "cut", "splice", "zeros", "insert"]))
    n = len(data)
    if what in ("flip", "flips"):
        for i in rng.integers(0, n, 1 if what == "flip" else 12):
            data[i] ^= 1 << int(rng.integers(8))
    elif what == "cut":
        del data[int(rng.integers(n)):]
    elif what == "splice":
        a, b, m = (int(x) for x in rng.integers(0, n, 3))
        m %= 1000
        data[a:a + m] = data[b:b + m]
    elif what == "zeros":
        a = int(rng.integers(n))
        data[a:a + 64] = bytes(len(data[a:a + 64]))
    else:
        data[(a := int(rng.integers(n))):a] = rng.bytes(int(rng.integers(1, 64)))
    return bytes(data), what


def odd(path, data, rng):
    """What is no file, or a file in another encoding, in place of ``path``; what it is."""
    what = str(rng.choice(["nothing", "empty", "folder", "pipe", "loop", "zeros", "full", "device", "mark", "lines",
                           "utf-16", "latin", "null", "brackets", "doubled line", "blank", "long"]))
    path.unlink(missing_ok=True)
    links = {"loop": path.name, "zeros": "/dev/zero", "device": "/dev/full", "full": "/dev/null"}
    content = {"empty": b"", "mark": b"\xef\xbb\xbf" + data, "lines": data.replace(b"\n", b"\r\n"),
               "latin": data + b"\xe9\xff", "null": data[:9] + b"\0" + data[9:], "brackets": b"[" * 100_000,
               "utf-16": data.decode("latin-1").encode("utf-16"), "blank": b" \n" * 100, "long": data + b"9" * 100_000}
    if what == "doubled line":
        lines = data.split(b"\n")
        i = int(rng.integers(len(lines)))
        content[what] = b"\n".join([*lines[:i], lines[i], *lines[i:]])
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what in links:
        path.symlink_to(links[what])
    elif what in content:
        path.write_bytes(content[what])
    return what


def _deep():
    value = 1
    for _ in range(60):
        value = [value]
    return value


#: What stands in the place of a value.
STRANGE = (None, True, -1, 0, 2**70, 10**400, math.inf, -math.inf, math.nan, 1e308, "", "x", "é\u2028\0", [], {},
           [[]], [None], ["x"] * 3, {"x": 1}, "y" * 5000, 0.5, -7.25, _deep())


def _places(value, path=()):
    """Every place in plain values."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _places(one, (*path, key))


def structured(content, rng):
    """Plain values with a key missing, a value of another kind or size, or a key too many; what was done."""
    content = json.loads(json.dumps(content))
    places = list(_places(content))[1:]
    by_depth = {}
    for path in places:
        by_depth.setdefault(len(path), []).append(path)
    level = by_depth[int(rng.choice(list(by_depth)))]  # near the root as often as in a long list
    path = level[int(rng.integers(len(level)))]
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    what = str(rng.choice(["remove", "replace", "replace", "add", "swap"]))
    if what == "remove":
        del parent[path[-1]]
    elif what == "replace":
        value = STRANGE[int(rng.integers(len(STRANGE)))]
        parent[path[-1]] = value
        what += f" by {str(value)[:20]!r}"
    elif what == "add" and isinstance(parent, dict):
        parent[str(rng.choice(["x", "", "__proto__", "NaN"]))] = STRANGE[int(rng.integers(len(STRANGE)))]
    else:
        other = level[int(rng.integers(len(level)))]
        source = content
        for key in other:
            source = source[key]
        parent[path[-1]] = source
    return content, f"{what} {'.'.join(map(str, path))[:60]}"


def toml_text(value):
    """Plain values as TOML: all tables inline, which the reader takes for the same."""
    def inline(one):
        if isinstance(one, dict):
            return "{" + ", ".join(f"{json.dumps(str(k))} = {inline(v)}" for k, v in one.items()) + "}"
        if isinstance(one, list):
            return "[" + ", ".join(map(inline, one)) + "]"
        if isinstance(one, float) and not math.isfinite(one):
            return str(one)
        return '"none"' if one is None else json.dumps(one)

    return "\n".join(f"{json.dumps(str(key))} = {inline(one)}" for key, one in value.items()) + "\n"
