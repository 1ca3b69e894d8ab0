# Sourced by run_demo and run_tests: a virtual environment with fei-lite in it.
# FEI_LITE_VENV names another folder for it (default: .venv beside setup.cfg).

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="${FEI_LITE_VENV:-$root/.venv}"

find_python() {
    local candidate
    for candidate in python3.11 python3 python; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "fei-lite needs Python 3.11; none was found on PATH." >&2
    return 1
}

if [ ! -x "$venv/bin/python" ]; then
    python="$(find_python)" || exit 2
    echo "Making a virtual environment in $venv ..." >&2
    "$python" -m venv "$venv"
fi
stamp="$venv/.fei-lite-installed"
if [ ! -e "$stamp" ] || [ "$root/setup.cfg" -nt "$stamp" ]; then
    echo "Installing fei-lite and what it needs (about a minute) ..." >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$root[test]"
    touch "$stamp"
fi
export PATH="$venv/bin:$PATH"
cd "$root"
