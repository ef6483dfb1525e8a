# shellcheck shell=bash
# The native half, always named in full and together: one feature resolution, so that nothing is built twice.
# Never --workspace: that would give `app` the features of both halves at once.
# shellcheck disable=SC2034
NATIVE_CRATES=(-p wire -p blobs -p store -p domain -p sandbox -p llm -p agent -p app -p server)
