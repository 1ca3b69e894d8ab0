# Sourced by run_demo, run_tests and others: a virtual environment with fei-lite in it.
# FEI_LITE_VENV names another folder for it (default: .venv beside setup.cfg),
# FEI_LITE_PYTHON the Python to make it with (default: the first of 3.11, 3.12 and 3.13 on PATH).

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="${FEI_LITE_VENV:-$root/.venv}"

# Whether a command is a Python that fei-lite runs on and that can make virtual environments.
is_suitable() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in ${FEI_LITE_PYTHON:-python3.11 python3.12 python3.13 python3 python}; do
        if is_suitable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "fei-lite needs Python 3.11, 3.12 or 3.13 with venv; ${FEI_LITE_PYTHON:-none on PATH} is not one." >&2
    return 1
}

# uv needs a tenth of pip's processor time; pip, where uv cannot be had or finds no index.
install() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv 2>/dev/null &&
        VIRTUAL_ENV="$venv" "$venv/bin/uv" pip install --quiet --compile-bytecode "$@" 2>/dev/null ||
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

if [ ! -x "$venv/bin/python" ]; then
    python="$(find_python)" || exit 2
    echo "Making a virtual environment in $venv ..." >&2
    "$python" -m venv "$venv"
fi
stamp="$venv/.fei-lite-installed"
if [ ! -e "$stamp" ] || [ "$root/setup.cfg" -nt "$stamp" ]; then
    echo "Installing fei-lite and what it needs (about a minute) ..." >&2
    install --editable "$root[test]"
    touch "$stamp"
fi
export PATH="$venv/bin:$PATH"
cd "$root"
