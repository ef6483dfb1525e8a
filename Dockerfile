# One image, one binary. Built in three steps: npm packages, both halves of the Rust workspace, and a small runtime.

FROM node:22-bookworm-slim AS npm
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund

FROM rust:1.95-bookworm AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN rustup target add wasm32-unknown-unknown
# Node.js comes from the image above: one version for both steps, and no packages of Debian's beside it.
COPY --from=npm /usr/local/bin/node /usr/local/bin/node
WORKDIR /src
# The versions in scripts/env.sh; a layer of their own, because they seldom change.
COPY scripts/env.sh scripts/env.sh
RUN . scripts/env.sh \
    && cargo install "wasm-bindgen-cli@$WASM_BINDGEN_VERSION" --debug --no-track --root "$TOOLS/wasm-bindgen-$WASM_BINDGEN_VERSION" \
    && cargo install "trunk@$TRUNK_VERSION" --locked --debug --no-default-features --features rustls --no-track --root "$TOOLS/trunk-$TRUNK_VERSION" \
    && rm -rf "$CARGO_TARGET_DIR"
COPY --from=npm /src/node_modules node_modules
COPY . .
RUN scripts/build.sh

FROM debian:bookworm-slim
# Security fixes of the distribution are wanted here, so these are not pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap ca-certificates curl git tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin cloudxdevai \
    && install -d -o cloudxdevai -g cloudxdevai -m 700 /data
COPY --from=build /src/bin/cloudxdevai /usr/local/bin/cloudxdevai
COPY LICENSE /usr/share/doc/cloudxdevai/LICENSE
USER 10001
WORKDIR /data
ENV APP_ENV=production APP_HOST=0.0.0.0 APP_PORT=8000 DATA_DIR=/data
VOLUME /data
# The site, and the ports that previews get.
EXPOSE 8000 8100-8131
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s --retries=3 \
    CMD ["sh", "-c", "exec curl -fsS http://127.0.0.1:$APP_PORT/healthz -o /dev/null"]
ENTRYPOINT ["tini", "--", "cloudxdevai"]
CMD ["serve"]
