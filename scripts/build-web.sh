#!/usr/bin/env bash
# Builds the browser half into dist/. Takes about a second when no input changed; what was built before is kept in the
# cache by the hash of its inputs, so that switching branches or a fresh clone does not build it again.
#   scripts/build-web.sh [release|dev]    dev: unoptimised wasm, nothing minified or compressed
# FRESH=1 takes nothing from the cache, so that what Trunk leaves in the target folder belongs to what is in dist/.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
cd "$ROOT"

profile=${1:-release}
case $profile in release | dev) ;; *) die "usage: scripts/build-web.sh [release|dev]" ;; esac
[ -n "$(wasm_toolchain)" ] || die "The target $WASM_TARGET is missing. Run: make setup"

inputs_hash() {
  {
    echo "$profile $TRUNK_VERSION $WASM_BINDGEN_VERSION"
    with_wasm_toolchain rustc --version
    find .cargo app frontend style public Trunk.toml Cargo.toml Cargo.lock package-lock.json scripts/build-web.sh scripts/web-*.mjs scripts/wasm-*.mjs \
      -path frontend/js/out -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
  } | sha256sum | cut -c1-20
}

hash=$(inputs_hash)
kept=$CACHE/dist/$hash
stamp=$CACHE/dist/built-$(printf '%s' "$ROOT" | sha256sum | cut -c1-12)
if [ -z "${FRESH:-}" ] && [ -e dist/asset-manifest.json ] && [ "$(cat "$stamp" 2>/dev/null)" = "$hash" ]; then
  say "The browser half is up to date."
  exit 0
fi

rm -f "$stamp"
mkdir -p "$CACHE/dist"
if [ -z "${FRESH:-}" ] && [ -e "$kept/asset-manifest.json" ]; then
  say "Taking the browser half from the cache."
  rm -rf dist
  cp -r "$kept" dist
else
  say "Building the browser half ($profile)."
  # Trunk is told to stay offline, so that it never downloads tools; crates are fetched here.
  with_wasm_toolchain cargo fetch $LOCKED
  flags=()
  [ "$profile" = dev ] || flags=(--release --cargo-profile wasm-release)
  # Stripping would remove the section that tells wasm-bindgen and wasm-opt which instructions are allowed, and the
  # names by which the program is taken apart; what is served has none.
  export CARGO_PROFILE_WASM_RELEASE_STRIP=none
  # Names that say for which types a function was made, by which late.txt knows it. Flags of a target replace those
  # of .cargo/config.toml, which are therefore repeated.
  export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="--cfg erase_components -C symbol-mangling-version=v0"
  NO_COLOR=true with_wasm_toolchain trunk build "${flags[@]}"
  [ "$(inputs_hash)" = "$hash" ] || { say "Sources changed during the build; the next one starts again."; exit 0; }
  rm -rf "$kept" "$kept.partial"
  cp -r dist "$kept.partial"
  mv -T "$kept.partial" "$kept"
  # The five newest are enough for going back and forth between branches.
  ls -1dt "$CACHE"/dist/*/ | tail -n +6 | xargs -r rm -rf
fi
echo "$hash" >"$stamp"
