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

# What Rust and Debian call the target. gcc compiles the C of SQLite and of the TLS library, with the headers of musl:
# with those of glibc it would call functions that musl does not have. musl itself comes with Rust.
RUN set -eu; \
    case "$TARGETARCH/$TARGETVARIANT" in \
        amd64/*)     arch=amd64 rust=x86_64-unknown-linux-musl      gcc=x86_64-linux-gnu ;; \
        arm64/*)     arch=arm64 rust=aarch64-unknown-linux-musl     gcc=aarch64-linux-gnu ;; \
        arm/v7|arm/) arch=armhf rust=armv7-unknown-linux-musleabihf gcc=arm-linux-gnueabihf ;; \
        *) echo "no target for $TARGETARCH/$TARGETVARIANT" >&2; exit 1 ;; \
    esac; \
    dpkg --add-architecture "$arch"; \
    apt-get update; \
    apt-get install -y --no-install-recommends "gcc-$(echo "$gcc" | tr _ -)" "musl-dev:$arch"; \
    rustup target add "$rust"; \
    musl=/usr/include/$(echo "$gcc" | sed s/gnu/musl/); \
    headers="-nostdinc -isystem $musl -isystem $("$gcc-gcc" -print-file-name=include)"; \
    name=$(echo "$rust" | tr - _); upper=$(echo "$name" | tr '[:lower:]' '[:upper:]'); \
    { \
        echo "export CARGO_BUILD_TARGET=$rust"; \
        echo "export CC_$name=$gcc-gcc AR_$name=$gcc-ar CFLAGS_$name='$headers'"; \
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
    cargo build --profile dist --locked --all-features --bin powerwall-server; \
    mkdir -p /out/usr/bin /out/app/.auth /out/data; \
    cp "target/$CARGO_BUILD_TARGET/dist/powerwall-server" /out/usr/bin/; \
    chown -R 1000:1000 /out/app /out/data

FROM ${RUNTIME_IMAGE}
COPY --from=build /out/ /
# Where compose files of the servers before this one mount credentials; their history, and with it the journal, is in
# /data. A volume that is mounted there for the first time takes over its owner.
WORKDIR /app
ENV PW_AUTH_PATH=/app/.auth
USER 1000:1000
EXPOSE 8675
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["powerwall-server", "healthcheck"]
ENTRYPOINT ["powerwall-server"]
CMD ["serve"]
