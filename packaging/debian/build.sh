#!/usr/bin/env bash
# Makes the Debian packages of both programs from what packaging/build-static.sh has built.
#
#   packaging/debian/build.sh              for this machine's processor
#   packaging/debian/build.sh aarch64      for another one: x86_64 or aarch64
#
# They land in target/debian. What goes where stands in Cargo.toml; cargo-deb does the work:
# cargo install --locked --no-default-features cargo-deb. The same commit gives the same bytes. Where s3up-manual is
# built already, S3UP_MANUAL=target/debug/s3up-manual spares building it.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
    echo "debian/build: $*" >&2
    exit 1
}

processor=${1:-$(uname -m)}
target=$processor-unknown-linux-musl
built=${CARGO_TARGET_DIR:-target}/$target/release
for program in s3up s3up-server; do
    [ -x "$built/$program" ] || fail "there is no $built/$program; packaging/build-static.sh $processor makes it"
done
command -v cargo-deb > /dev/null || fail "there is no cargo-deb: cargo install --locked --no-default-features cargo-deb"

# The two have to be raised together.
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
latest=$(sed -n '1s/^s3up (\(.*\)-[0-9]*) .*/\1/p' packaging/debian/changelog)
[ "$version" = "$latest" ] || fail "packaging/debian/changelog begins with $latest, Cargo.toml says $version"

# cargo-deb looks for units by the names of both crate and package, in one folder, and would put the client's
# user into the server's package. So each has a folder of its own.
for package in s3up s3up-server; do
    units=target/debian-units/$package
    rm -rf "$units"
    mkdir -p "$units"
    cp "packaging/systemd/$package.service" "$units"
done

# The time of everything in a package: a build of the same commit has the same.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

rm -rf target/manual
if [ -n "${S3UP_MANUAL:-}" ]; then "$S3UP_MANUAL" target/manual; else cargo manual target/manual; fi
packaging/third-party | gzip -9n > target/third-party.txt.gz

rm -rf target/debian
deb=(cargo deb --locked --no-build --no-strip --quiet --target "$target" --output target/debian/)
"${deb[@]}"
"${deb[@]}" --variant server
(cd target/debian && sha256sum ./*.deb)
