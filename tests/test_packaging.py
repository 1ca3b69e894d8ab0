"""What a wheel holds: every package and every data file that the program reads."""

import configparser
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
PACKAGES = SETUP["options"]["packages"].split()
FOLDERS = {"fei_lite.decay_channels": ROOT / "decay_channels", "fei_lite.trained": ROOT / "trained"}


def test_every_package_is_listed_once():
    """Would catch a new folder with code that an editable install has and a wheel has not."""
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "fei_lite").rglob("__init__.py")}
    assert sorted(PACKAGES) == sorted(found | set(FOLDERS))


def test_every_data_file_is_shipped():
    """Would catch a recipe, decay file or table that only a checkout has."""
    data = {name: value.replace(",", " ").split() for name, value in SETUP["options.package_data"].items()}
    missing = []
    for path in (ROOT / "fei_lite").rglob("*"):
        if not path.is_file() or path.suffix in (".py", ".pyc", ".nbc", ".nbi", ".so") or "__pycache__" in path.parts:
            continue
        package = ".".join(path.parent.relative_to(ROOT).parts)
        if not any(fnmatch(path.name, pattern) for pattern in data.get(package, ())):
            missing.append(str(path.relative_to(ROOT)))
    assert not missing
