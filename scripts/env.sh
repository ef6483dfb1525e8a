# shellcheck shell=bash
# Sourced by every script: where things are, and which toolchain builds which half. Prints nothing, installs nothing.

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${CLOUDXDEVAI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cloudxdevai}
TOOLS=$CACHE/tools

TRUNK_VERSION=0.21.14
# Must equal the version of the wasm-bindgen crate in Cargo.toml.
WASM_BINDGEN_VERSION=0.2.130
NEXTEST_VERSION=0.9.143
WASM_TARGET=wasm32-unknown-unknown

# The native half; the browser half has a target directory of its own, or neither would ever be warm.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target/native}
WASM_TARGET_DIR=${CLOUDXDEVAI_WASM_TARGET_DIR:-$CACHE/target/wasm}

# On a developer's machine cargo may complete Cargo.lock after an edit; in CI and in `make test` it may not.
# shellcheck disable=SC2034
LOCKED=${CI:+--locked}

PATH=$TOOLS/trunk-$TRUNK_VERSION/bin:$TOOLS/wasm-bindgen-$WASM_BINDGEN_VERSION/bin:$TOOLS/cargo-nextest-$NEXTEST_VERSION/bin:$PATH
export PATH

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# has_wasm_std RUSTC: true when that compiler can build for the browser.
has_wasm_std() {
  local sysroot
  sysroot=$("$1" --print sysroot 2>/dev/null) || return 1
  compgen -G "$sysroot/lib/rustlib/$WASM_TARGET/lib/libstd-*.rlib" >/dev/null
}

# Names the toolchain that builds the browser half: user (rustup's or any other on the PATH), debian, or nothing.
wasm_toolchain() {
  if [ "$(command -v rustc)" != /usr/bin/rustc ] && has_wasm_std rustc; then echo user
  elif [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && has_wasm_std /usr/bin/rustc; then echo debian
  fi
}

# with_wasm_toolchain COMMAND…: runs it with cargo, rustc, linker and target directory of the browser half.
with_wasm_toolchain() (
  export CARGO_TARGET_DIR=$WASM_TARGET_DIR
  if [ "$(wasm_toolchain)" = debian ]; then
    # Tools such as Trunk look cargo and rustc up by name; all of /usr/bin in front would hide npm's wasm-opt.
    local shims=$CACHE/debian-rust/bin
    mkdir -p "$shims"
    for tool in cargo rustc rustdoc cargo-clippy clippy-driver; do
      if [ -x /usr/bin/$tool ] && [ ! -e "$shims/$tool" ]; then ln -sf /usr/bin/$tool "$shims/$tool"; fi
    done
    export PATH=$shims:$PATH RUSTC=/usr/bin/rustc CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-19
  fi
  export PATH=$ROOT/node_modules/.bin:$PATH
  "$@"
)

# The folder with initdb and pg_ctl; Debian keeps them off the PATH.
postgres_bin() {
  local dir
  for dir in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -Vr); do
    if [ -x "$dir/initdb" ]; then echo "$dir"; return; fi
  done
  if command -v initdb >/dev/null; then dirname "$(readlink -f "$(command -v initdb)")"; fi
}

# The folder of the Python packages that hold the document of the API against the server.
# python_home [REQUIREMENTS]: where the packages of that file are.
python_home() {
  echo "$CACHE/python/$({ python3 -V; cat "$ROOT/${1:-scripts/requirements.txt}"; } | sha256sum | cut -c1-16)"
}

chromium_bin() { command -v chromium || command -v chromium-browser || command -v google-chrome || true; }
