"""Write fei_lite/kernels/ahead.json: the kernels that a reconstruction calls, with the types of their arguments.

    python scripts/write_signatures.py

After a change of a kernel's arguments (a test says so). Reconstructs some simulated events with every kernel in the
cache, where those that are called are all that is loaded, and then measures how long each takes to compile.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import fei_lite.kernels
from fei_lite.benchmarks.timing import FEI_LITE
from fei_lite.cli import main as fei_lite_main
from fei_lite.kernels.ahead import Entry, written
from fei_lite.outputs import atomic_output

OUTPUT = Path(fei_lite.kernels.__file__).with_name("ahead.json")


def main() -> int:
    """Parse the command line; find the kernels, or measure those found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", choices=("find", "measure"), help=argparse.SUPPRESS)
    step = parser.parse_args().step
    if step == "find":
        print(json.dumps(called()))
        return 0
    if step == "measure":
        print(json.dumps(measured(json.loads(sys.stdin.read()))))
        return 0
    _step("find")  # fills the cache
    found = _step("measure", _step("find"), FEI_LITE_JIT_CACHE="0")
    with atomic_output(OUTPUT, force=True) as temporary:
        lines = ",\n".join(json.dumps(entry) for entry in json.loads(found))
        temporary.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(OUTPUT)
    return 0


def _step(name: str, given: str = "", **environment: str) -> str:
    """What a step prints, in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--step", name], input=given, stdout=subprocess.PIPE, text=True,
                          check=True, env={**os.environ, **environment})
    return done.stdout.splitlines()[-1]


def called() -> list[tuple[str, list]]:
    """Kernels and argument types of a reconstruction of simulated events."""
    with tempfile.TemporaryDirectory() as name:
        events, tags = str(Path(name) / "events.root"), str(Path(name) / "btag.root")
        simulate = ["simulate", "charged", "-n", "100", "--seed", "1", "-o", events]
        subprocess.run([*FEI_LITE, *simulate], check=True, stdout=sys.stderr)  # the kernels of that are not wanted
        for models in ("fei_default", "extended"):
            fei_lite_main(["reconstruct", events, "--models", models, "-o", tags, "--force", "--quiet"])
    found = []
    for module in iter_modules(fei_lite.kernels.__path__):
        loaded = sys.modules.get(f"fei_lite.kernels.{module.name}")
        for function, kernel in vars(loaded).items() if loaded is not None else ():
            if getattr(getattr(kernel, "py_func", None), "__module__", "") == f"fei_lite.kernels.{module.name}":
                found += [(f"{module.name}.{function}", [written(kind) for kind in signature])
                          for signature in kernel.signatures]
    return found


def measured(found: list[tuple[str, list]]) -> list[dict]:
    """The same with the seconds of compilation, one after the other."""
    entries = []
    for kernel, arguments in found:
        entry = Entry(kernel, arguments, 0.0)
        import_module(f"fei_lite.kernels.{kernel.partition('.')[0]}")
        start = time.perf_counter()
        entry.compile()
        entries.append(entry._replace(seconds=round(time.perf_counter() - start, 1))._asdict())
    return entries


if __name__ == "__main__":
    raise SystemExit(main())
