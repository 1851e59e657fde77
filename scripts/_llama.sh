# shellcheck shell=bash
# llama-cpp-python: built once per version, flags, Python and CPU; then installed from the cache. Sourced by setup.

LLAMA_LOG="$CACHE/logs/llama-build.log"
LLAMA_BUILD=""

# Vision (mtmd), but no video, which would start ffmpeg; no common library (see lean.cmake): the same kernels in a bit
# over half of the time.
LEAN_FLAGS="-DLLAVA_BUILD=ON -DMTMD_VIDEO=OFF"

llama_flags() { printf '%s' "$LEAN_FLAGS -DCMAKE_PROJECT_INCLUDE=$ROOT/scripts/lean.cmake${CMAKE_ARGS:+ $CMAKE_ARGS}"; }

# The build uses every instruction of this CPU, so a cache that travels to another machine must not offer it there.
cpu_key() {
    { uname -m && grep -m 1 -E '^(flags|Features)' /proc/cpuinfo; } | sha256sum | cut -c 1-12
}

# The content of the include file counts, not where this checkout lies.
flags_key() {
    { cat "$ROOT/scripts/lean.cmake" && echo "$LEAN_FLAGS ${CMAKE_ARGS:-}"; } | sha256sum | cut -c 1-12
}

llama_wheel_folder() {
    printf '%s' "$CACHE/wheels/llama-cpp-python-$(pinned llama-cpp-python)-$(python_tag)-$(flags_key)-$(cpu_key)"
}

# llama_wheel: prints the built wheel; false when there is none.
llama_wheel() {
    local wheels
    [ -n "$PYTHON" ] || return 1
    wheels=("$(llama_wheel_folder)"/*.whl)
    [ -f "${wheels[0]}" ] && printf '%s' "${wheels[0]}"
}

# --no-cache-dir: pip's own cache of built wheels does not look at the flags.
llama_build_command() {
    printf 'CMAKE_ARGS=%q %q -m pip wheel --verbose --no-deps --no-cache-dir --build-constraint %q --wheel-dir %q %q' \
        "$(llama_flags)" "$(bootstrap_folder)/bin/python" "$ROOT/constraints.txt" \
        "$(llama_wheel_folder).building" "llama-cpp-python==$(pinned llama-cpp-python)"
}

# start_llama_build: begins in the background when no wheel is there; install_llama waits for it.
start_llama_build() {
    if llama_wheel >/dev/null; then return; fi
    mkdir -p "${LLAMA_LOG%/*}" "$(llama_wheel_folder).building"
    say "==> llama-cpp-python: building in the background, log in $LLAMA_LOG"
    : >"$LLAMA_LOG"
    # A process group of its own, so that the compilers can be ended with it.
    setsid bash -c "$(llama_build_command)" >"$LLAMA_LOG" 2>&1 9>&- &
    LLAMA_BUILD=$!
}

# Without it a set-up that failed elsewhere would leave the compilers running.
cleanup() {
    if [ -n "$LLAMA_BUILD" ]; then kill -- "-$LLAMA_BUILD" 2>/dev/null || true; fi
}

install_llama() {
    local installed
    if [ -n "$LLAMA_BUILD" ]; then await_llama_build; fi
    installed="$VENV/.llama-from"
    if [ "$(cat "$installed" 2>/dev/null)" = "$(llama_wheel)" ]; then
        say "    up to date"
        return
    fi
    "$UV" pip install --quiet --python "$BIN/python" --constraints "$ROOT/constraints.txt" \
        --reinstall-package llama-cpp-python "$(llama_wheel)"
    "$BIN/python" -c 'import llama_cpp'
    llama_wheel >"$installed"
}

# await_llama_build: shows how far the compiler is every few seconds, then keeps the wheel.
await_llama_build() {
    local folder
    folder="$(llama_wheel_folder)"
    while kill -0 "$LLAMA_BUILD" 2>/dev/null; do
        say "    building $(grep -o -E '^ *\[[0-9]+/[0-9]+\]' "$LLAMA_LOG" | tail -n 1 | tr -d ' ' || echo 'has begun')"
        sleep 5
    done
    if ! wait "$LLAMA_BUILD"; then
        tail -n 20 "$LLAMA_LOG" >&2
        die "llama-cpp-python could not be built; the whole log is $LLAMA_LOG"
    fi
    rm -rf "$folder"
    mv "$folder.building" "$folder"
    LLAMA_BUILD=""
}
