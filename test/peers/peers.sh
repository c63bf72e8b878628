# test/peers/peers.sh -- Sourced by the scripts of this folder: where peers live, how they are
# fetched, and what happens when one cannot be had.
#
# Everything is kept under .peers/ of the source tree (WTKMS_PEERS moves it). A finished peer
# carries a stamp that names how it was made: the same again is a no-op, another is built anew.

set -u
export LC_ALL=C
peers_source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
peers_dir=${WTKMS_PEERS:-$peers_source/.peers}
peers_skipped=()

# Debian's own Python: others in PATH (pyenv, conda) may have no venv, or another libpython.
peers_python=/usr/bin/python3
[ -x "$peers_python" ] || peers_python=python3

peers_say() { echo "$(basename "$0"): $*"; }

# peers_skip NAME REASON -- Note a peer that could not be had.
peers_skip() {
    peers_skipped+=("$1")
    echo "SKIP $1: $2" >&2
}

# peers_finish -- The exit code of a script: skipped peers fail it only where they are required.
peers_finish() {
    [ ${#peers_skipped[@]} -eq 0 ] && exit 0
    if [ "${WTKMS_REQUIRE_PEERS:-0}" = 1 ]; then
        echo "$(basename "$0"): required and missing: ${peers_skipped[*]}" >&2
        exit 1
    fi
    exit 0
}

# peers_venv DIR -- Make a virtual environment, or keep the one that is there and works.
peers_venv() {
    [ -x "$1/bin/pip" ] && "$1/bin/python" -c '' 2>/dev/null && return 0
    rm -rf "$1"
    "$peers_python" -m venv "$1"
}

# peers_lock NAME -- One at a time: two runs side by side would build in the same place.
peers_lock() {
    mkdir -p "$peers_dir" && exec 9>"$peers_dir/$1.lock" && flock 9
}

# peers_run LOG COMMAND... -- Run with the output in LOG; its end is shown when the command fails.
peers_run() {
    local log=$1

    shift
    if "$@" >>"$log" 2>&1 9>&-; then
        return 0
    fi
    echo "--- the end of $log" >&2
    tail -n 25 "$log" >&2
    return 1
}
