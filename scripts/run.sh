#!/usr/bin/env bash
# Builds what changed and serves it. A first start, with no database in the data folder, gets the sample project.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
cd "$ROOT"

scripts/setup.sh run
scripts/build.sh
data=${DATA_DIR:-data}
if [ -z "${DATABASE_URL:-}" ] && ! compgen -G "$data/*.db" >/dev/null && ! compgen -G "$data/*.sqlite*" >/dev/null; then
  export DEV_SEED_DATA=${DEV_SEED_DATA:-true}
fi
exec bin/cloudxdevai serve "$@"
