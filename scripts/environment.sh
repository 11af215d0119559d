# Sourced by the scripts beside it, from the top of the checkout: finds a Python
# and sees to it that .venv holds what the script needs.
#
#   level=dev
#   . scripts/environment.sh
#
# level is an extra of setup.cfg: embedded, test, dev or mutation.
#
# Afterwards $python is the interpreter of .venv.

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.11 python3.12 python3.13 python3.14 python; do
        [ -n "$candidate" ] || continue
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        command -v "$candidate"
        return
    done
    echo "Python 3.11 or newer is needed. Where is it? PYTHON=/path/to/python3 $0" >&2
    exit 1
}

python=$(find_python)
"$python" scripts/environment.py "$level"
python=.venv/bin/python
