#!/usr/bin/env bash
# Installs what is missing and nothing else; takes well under a second when nothing is.
#   scripts/setup.sh run     what building and starting needs (default)
#   scripts/setup.sh test    that, and what the tests add: Chromium, PostgreSQL, Redis, cargo-nextest, hadolint, schemathesis
#   scripts/setup.sh bench   test, and what is measured beside the server: ripgrep, FastAPI and SQLAlchemy
#   scripts/setup.sh check   run, clippy for the browser half, hadolint
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
cd "$ROOT"

group=${1:-run}
for_bench=false
case $group in
  run | test | check) ;;
  bench) group=test for_bench=true ;;
  *) die "usage: scripts/setup.sh [run|test|bench|check]" ;;
esac

for tool in cargo rustc node npm python3 git; do
  command -v $tool >/dev/null || die "$tool is missing. Install Rust 1.95 or newer (rustup.rs), Node.js 18 or newer, Python 3 and git, then run this again."
done
node_version=$(node --version 2>/dev/null || true)
node_major=${node_version#v} node_major=${node_major%%.*}
case $node_major in
  '' | *[!0-9]*) die "\`node --version\` says nothing usable. Install Node.js 18 or newer (Debian's nodejs and npm, or nodejs.org), then run this again." ;;
esac
[ "$node_major" -ge 18 ] || die "Node.js $node_version is too old. Install Node.js 18 or newer (Debian's nodejs and npm, or nodejs.org), put it first on the PATH, then run this again."

mkdir -p "$TOOLS"
if command -v flock >/dev/null; then
  exec 8>"$CACHE/setup.lock"
  flock -n 8 || { say "Another setup is running; waiting for it."; flock 8; }
fi

# as_root COMMAND…: runs it as root, through sudo if need be, or says what to type and stops.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then sudo "$@"
  else
    say "This needs root. Type:"
    say "  sudo $(printf '%q ' "$@")"
    say "and run the same make target again."
    exit 1
  fi
}

install_packages() {
  command -v apt-get >/dev/null || die "This system has no apt-get. Install the equivalents of: $*"
  say "Installing Debian packages: $*"
  as_root sh -c "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $*" >&2
}

# --- system packages -------------------------------------------------------------------------------------------
packages=()
command -v bwrap >/dev/null || packages+=(bubblewrap)
command -v cc >/dev/null || packages+=(gcc libc6-dev)
if [ "$group" = test ]; then
  [ -n "$(chromium_bin)" ] || packages+=(chromium)
  [ -n "$(postgres_bin)" ] || packages+=(postgresql)
  command -v redis-server >/dev/null || packages+=(redis-server)
fi
if [ "$group" != run ]; then
  # Fetches the tools below, and the source archive that the browser journeys import.
  python3 -c 'import pip' 2>/dev/null || packages+=(python3-pip)
fi
if $for_bench; then
  command -v rg >/dev/null || packages+=(ripgrep)
fi

toolchain=$(wasm_toolchain)
if [ -z "$toolchain" ] && command -v rustup >/dev/null; then
  say "Adding the target $WASM_TARGET with rustup."
  if timeout 90 rustup target add $WASM_TARGET >/dev/null 2>&1 && has_wasm_std rustc; then
    toolchain=user
  else
    say "rustup cannot fetch it from here; Debian's Rust is used for the browser half instead."
  fi
fi
if [ "$toolchain" != user ]; then
  [ -x /usr/bin/rustc ] || packages+=(rustc-web)
  [ -x /usr/bin/cargo ] || packages+=(cargo-web)
  command -v wasm-ld-19 >/dev/null || packages+=(lld-19)
  [ -n "$toolchain" ] || [ -e /usr/lib/rustlib/src/rust/library/std/Cargo.toml ] || packages+=(rust-web-src)
  [ "$group" = run ] || [ -x /usr/bin/cargo-clippy ] || packages+=(rust-web-clippy)
fi
[ ${#packages[@]} -eq 0 ] || install_packages "${packages[@]}"

# --- the browser's standard library, where rustup had none -------------------------------------------------------
# Kept in the cache by compiler version: a new container takes the very same files, which crates compiled against them need.
build_wasm_std() {
  local key kept work sysroot dest
  key=$({ /usr/bin/rustc -vV; dpkg-query -W -f='${Version}' rustc-web rust-web-src 2>/dev/null || true; } | sha256sum | cut -c1-16)
  kept=$CACHE/wasm-std/$key
  if ! compgen -G "$kept/libstd-*.rlib" >/dev/null; then
    say "Building the standard library for $WASM_TARGET (about a minute)."
    work=$(mktemp -d)
    mkdir "$work/src"
    : >"$work/src/lib.rs"
    printf '[package]\nname = "std-seed"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n' >"$work/Cargo.toml"
    # Without bitcode a link-time-optimised build cannot read these libraries.
    (
      cd "$work"
      env -u CARGO_BUILD_TARGET RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Cembed-bitcode=yes CARGO_TARGET_DIR="$work/target" \
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-19 \
        /usr/bin/cargo build -q --release --target $WASM_TARGET -Zbuild-std=std,panic_abort,panic_unwind
    )
    rm -f "$work/target/$WASM_TARGET/release/deps/"*std_seed*
    rm -rf "$kept" "$kept.partial"
    mkdir -p "$kept.partial"
    cp "$work/target/$WASM_TARGET/release/deps/"*.rlib "$kept.partial/"
    mv "$kept.partial" "$kept"
    rm -rf "$work"
  fi
  sysroot=$(/usr/bin/rustc --print sysroot)
  dest=$sysroot/lib/rustlib/$WASM_TARGET
  as_root sh -c "mkdir -p '$dest' && rm -rf '$dest/lib.new' '$dest/lib' && mkdir '$dest/lib.new' \
    && cp '$kept/'*.rlib '$dest/lib.new/' && chmod -R a+rX '$dest' && mv '$dest/lib.new' '$dest/lib'"
}
if [ -z "$(wasm_toolchain)" ]; then
  build_wasm_std
  [ -n "$(wasm_toolchain)" ] || die "The target $WASM_TARGET is still missing; see the messages above."
fi

# --- cargo tools ------------------------------------------------------------------------------------------------
# install_tool NAME-VERSION BINARY CARGO-INSTALL-ARGUMENTS…: built beside its place and moved there when complete.
install_tool() {
  local place=$TOOLS/$1 binary=$2 partial=$TOOLS/.$1.partial
  shift 2
  [ ! -x "$place/bin/$binary" ] || return 0
  say "Installing ${place##*/} (a few minutes, once)."
  rm -rf "$partial" "$place"
  CARGO_TARGET_DIR=$CACHE/target/tools CARGO_PROFILE_DEV_DEBUG=0 cargo install "$@" --debug --no-track --root "$partial" >&2
  [ -x "$partial/bin/$binary" ] || die "cargo install left no $binary."
  mv "$partial" "$place"
  rm -rf "$CACHE/target/tools"
}
install_tool wasm-bindgen-$WASM_BINDGEN_VERSION wasm-bindgen "wasm-bindgen-cli@$WASM_BINDGEN_VERSION"
install_tool trunk-$TRUNK_VERSION trunk "trunk@$TRUNK_VERSION" --locked --no-default-features --features rustls
if [ "$group" = test ] && ! command -v cargo-nextest >/dev/null; then
  install_tool cargo-nextest-$NEXTEST_VERSION cargo-nextest "cargo-nextest@$NEXTEST_VERSION" --locked --no-default-features --features default-no-update
fi

# --- npm packages -----------------------------------------------------------------------------------------------
# Kept in the cache by the lock file's hash and linked into the checkout, so that a fresh clone installs nothing.
install_npm() {
  local key place partial
  key=$(cat package.json package-lock.json .npmrc | sha256sum | cut -c1-16)
  [ ! -e "node_modules/.installed-$key" ] || return 0
  if [ -d node_modules ] && [ ! -L node_modules ]; then
    rm -f node_modules/.installed-*
    say "Installing npm packages."
    npm ci --no-audit --no-fund --loglevel=error >&2
    touch "node_modules/.installed-$key"
    return
  fi
  place=$CACHE/npm/$key partial=$CACHE/npm/.$key.partial
  if [ ! -e "$place/node_modules/.installed-$key" ]; then
    say "Installing npm packages."
    rm -rf "$partial" "$place"
    mkdir -p "$partial"
    cp package.json package-lock.json .npmrc "$partial/"
    (cd "$partial" && npm ci --no-audit --no-fund --loglevel=error >&2)
    touch "$partial/node_modules/.installed-$key"
    mv "$partial" "$place"
  fi
  ln -sfn "$place/node_modules" node_modules
}
install_npm

# --- Python packages --------------------------------------------------------------------------------------------
# install_python REQUIREMENTS WHAT: in a folder of its own, which needs no virtual environment and leaves the system's packages alone.
install_python() {
  local place partial
  place=$(python_home "$1")
  partial=$place.partial
  [ ! -e "$place" ] || return 0
  say "Installing $2."
  rm -rf "$partial"
  mkdir -p "${place%/*}"
  python3 -m pip install --quiet --no-input --disable-pip-version-check --root-user-action ignore --no-deps --require-hashes --target "$partial" -r "$1" >&2
  mv "$partial" "$place"
}
[ "$group" = run ] || install_python scripts/requirements.txt "hadolint and schemathesis"
! $for_bench || install_python end2end/bench/reference/requirements.txt "FastAPI and SQLAlchemy"
