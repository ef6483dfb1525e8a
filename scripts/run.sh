#!/usr/bin/env bash
# Builds what changed and serves it. A first start, with no database yet, gets the sample project and the demonstration model;
# what is a first start, and where to open it, is decided by the program, which reads .env and cloudxdevai.toml as well.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
cd "$ROOT"

scripts/setup.sh run
scripts/build.sh
exec bin/cloudxdevai serve --trial "$@"
