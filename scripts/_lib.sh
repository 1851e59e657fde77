# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is used by the scripts that source it
# Shared by the scripts of this folder: sourced, never run.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
VENV="$ROOT/.venv"
BIN="$VENV/bin"

# The same rule as cache_root() in src/local_assistants/paths.py.
CACHE="${LOCAL_ASSISTANTS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/local-assistants}"
export LOCAL_ASSISTANTS_CACHE="$CACHE"

say() { printf '%s\n' "$*" >&2; }

die() {
    say "${0##*/}: $*"
    exit 1
}

# The comment block at the top of the calling script is its help.
help_from_header() { sed -n -e '1d' -e '/^#/!q' -e 's/^# \{0,1\}//p' "$0"; }

# step "what is done" command...: runs it and prints how many seconds it took. A failing command inside ends the
# script (no `||` here: it would switch that off), and on_exit names the step.
step() {
    local started="$EPOCHREALTIME"
    CURRENT_STEP="$1"
    shift
    say "==> $CURRENT_STEP"
    "$@"
    say "    $(elapsed "$started") s"
    CURRENT_STEP=""
}

CURRENT_STEP=""
cleanup() { :; } # a part may replace it
on_exit() {
    local code=$?
    cleanup
    if [ $code -ne 0 ] && [ -n "$CURRENT_STEP" ]; then
        say "${0##*/}: stopped in the step: $CURRENT_STEP. Running it again goes on from there."
    fi
    exit $code
}
trap on_exit EXIT
trap 'exit 130' INT # so that on_exit sees it
trap 'exit 143' TERM

elapsed() {
    awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { sub(",", ".", from); sub(",", ".", to); printf "%.1f", to - from }'
}

# The version that constraints.txt pins for a package.
pinned() {
    local line
    line="$(grep -i -m 1 "^$1==" "$ROOT/constraints.txt")" || die "constraints.txt has no pin for $1"
    printf '%s' "${line#*==}"
}
