# One static binary in a small image, for linux/amd64, linux/arm64 and linux/arm/v7:
#
#   docker buildx build --platform linux/amd64,linux/arm64,linux/arm/v7 -t powerwall-server .
#
# The compiler always runs on the machine's own architecture; nothing is emulated.

ARG BUILD_IMAGE=docker.io/library/rust:1.95-bookworm
ARG RUNTIME_IMAGE=docker.io/library/busybox:1.37-musl
ARG BUILDPLATFORM=linux/amd64

FROM --platform=${BUILDPLATFORM} ${BUILD_IMAGE} AS build
ARG TARGETARCH=amd64
ARG TARGETVARIANT=
WORKDIR /build

# What Rust and Debian call the target. gcc compiles the few lines of C in the TLS library; musl comes with Rust.
RUN set -eu; \
    case "$TARGETARCH/$TARGETVARIANT" in \
        amd64/*)  rust=x86_64-unknown-linux-musl        gcc=x86_64-linux-gnu ;; \
        arm64/*)  rust=aarch64-unknown-linux-musl       gcc=aarch64-linux-gnu ;; \
        arm/v7|arm/) rust=armv7-unknown-linux-musleabihf gcc=arm-linux-gnueabihf ;; \
        *) echo "no target for $TARGETARCH/$TARGETVARIANT" >&2; exit 1 ;; \
    esac; \
    command -v "$gcc-gcc" || { apt-get update && apt-get install -y "gcc-$(echo "$gcc" | tr _ -)"; }; \
    rustup target add "$rust"; \
    name=$(echo "$rust" | tr - _); upper=$(echo "$name" | tr '[:lower:]' '[:upper:]'); \
    { \
        echo "export CARGO_BUILD_TARGET=$rust"; \
        echo "export CC_$name=$gcc-gcc AR_$name=$gcc-ar"; \
        echo "export CARGO_TARGET_${upper}_LINKER=rust-lld"; \
    } > target.env

COPY Cargo.toml Cargo.lock ./
COPY src src
COPY static static
COPY benches benches
COPY config/container/curl /out/usr/bin/curl
RUN --mount=type=cache,target=/root/.cargo/registry \
    --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    set -eu; . ./target.env; \
    cargo build --release --locked --bin powerwall-server; \
    mkdir -p /out/usr/bin /out/app/.auth; \
    cp "target/$CARGO_BUILD_TARGET/release/powerwall-server" /out/usr/bin/; \
    chown -R 1000:1000 /out/app

FROM ${RUNTIME_IMAGE}
COPY --from=build /out/ /
# Where compose files of the servers before this one mount credentials.
WORKDIR /app
ENV PW_AUTH_PATH=/app/.auth
USER 1000:1000
EXPOSE 8675
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["powerwall-server", "healthcheck"]
ENTRYPOINT ["powerwall-server"]
CMD ["serve"]
