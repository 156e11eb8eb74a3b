#!/usr/bin/env bash
# Builds both programs for Linux as files that need nothing beside them: no C library, no loader.
#
#   packaging/build-static.sh              for this machine's processor
#   packaging/build-static.sh aarch64      for another one: x86_64 or aarch64
#
# They land in target/<processor>-unknown-linux-musl/release. The same commit, built by the same compiler,
# gives the same bytes, wherever the tree lies: the script prints their SHA-256.
#
# Where the standard library for musl is there, or rustup can get it, that one is used. Elsewhere it is built,
# too, from Debian's packages: rustc-web, cargo-web, rust-web-src, musl-tools and libunwind-16-dev. C code
# (SQLite and ring) needs a compiler for musl: musl-gcc, or, for another processor, <processor>-linux-musl-gcc.
#
# S3UP_RUST=rustup or S3UP_RUST=debian says by which of the two ways, and does not try the other.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "build-static: $*" >&2
    exit 1
}

machine=$(uname -m)
processor=${1:-$machine}
case $processor in
    x86_64 | aarch64) ;;
    *) fail "no such processor: $processor; x86_64 or aarch64" ;;
esac
target=$processor-unknown-linux-musl
built=${CARGO_TARGET_DIR:-target}/$target/release

# The C compiler that knows musl's headers.
find_c_compiler() {
    if command -v "$processor-linux-musl-gcc" > /dev/null; then
        c_compiler=$processor-linux-musl-gcc
    elif [ "$processor" = "$machine" ] && command -v musl-gcc > /dev/null; then
        c_compiler=musl-gcc
    elif [ "$processor" = "$machine" ]; then
        fail "there is no musl-gcc; on Debian and Ubuntu: apt-get install musl-tools"
    else
        fail "there is no $processor-linux-musl-gcc; musl.cc and most distributions' cross compilers have it"
    fi
}

has_standard_library() {
    [ -d "$("$1" --print sysroot)/lib/rustlib/$target/lib" ]
}

# Sets rustc, cargo and the flags that differ.
find_rust() {
    rustc=rustc cargo=cargo linker='' extra_cargo=() extra_rust=()
    if [ "${S3UP_RUST:-}" != debian ] && command -v rustc > /dev/null; then
        if ! has_standard_library rustc && command -v rustup > /dev/null; then
            rustup target add "$target" || true
        fi
        if has_standard_library rustc; then
            # rustc has musl's start files for this; for another processor the linker is that one's.
            [ "$processor" = "$machine" ] || linker=$c_compiler
            return
        fi
    fi
    [ "${S3UP_RUST:-}" != rustup ] || fail "rustup has no standard library for $target"
    # Debian's compiler may stand beside another one that is found first.
    rustc=/usr/bin/rustc cargo=/usr/bin/cargo
    [ -f "$("$rustc" --print sysroot 2> /dev/null)/lib/rustlib/src/rust/library/Cargo.lock" ] ||
        fail "no standard library for $target, and none to build: rustup target add $target; or, on Debian:" \
            "apt-get install rustc-web cargo-web rust-web-src musl-tools libunwind-16-dev"
    [ "$processor" = "$machine" ] || fail "Debian's compiler is used for $machine alone"
    extra_cargo=('-Zbuild-std=std,panic_unwind')
    # Of rustc's own musl there is nothing here: start files, C library and unwinder are the system's.
    mkdir -p "$built/parts"
    parts=$(realpath "$built/parts")
    make_linker
    make_unwinder
    extra_rust=(-Clink-self-contained=no "-Lnative=$parts")
    linker=$parts/linker
    # The two flags above are the unstable ones of a stable compiler.
    export RUSTC_BOOTSTRAP=1
}

# musl-gcc links for musl's loader, also what is called static. These are its specifications for a program that
# needs no loader and can yet be placed anywhere in memory. C code may call what GCC has in libgcc.a.
make_linker() {
    local specs
    specs=/usr/lib/$machine-linux-musl/musl-gcc.specs
    [ -f "$specs" ] || fail "there is no $specs: apt-get install musl-tools"
    sed -e 's/Scrt1\.o/rcrt1.o/' -e 's/^-dynamic-linker [^ ]*/-static -pie -no-dynamic-linker -z text/' \
        "$specs" > "$parts/specs"
    printf '#!/bin/sh\nexec gcc "$@" -lgcc -specs "%s"\n' "$parts/specs" > "$parts/linker"
    chmod +x "$parts/linker"
}

# A panic has to unwind, and GCC's unwinder wants glibc. LLVM's is there as an archive; built for glibc, it
# calls one function that musl does not have.
make_unwinder() {
    local archive
    archive=$(find /usr/lib -path '*/llvm-*/lib/libunwind.a' | sort -V | tail -n 1)
    [ -n "$archive" ] || fail "there is no libunwind.a: apt-get install libunwind-16-dev"
    cat > "$parts/fortify.c" << 'END'
#include <stdarg.h>
#include <stdio.h>

/* What glibc's headers make of fprintf. The flag asks for checks of the format, which is a constant there. */
int __fprintf_chk(FILE *stream, int flag, const char *format, ...)
{
    va_list arguments;
    int written;

    (void)flag;
    va_start(arguments, format);
    written = vfprintf(stream, format, arguments);
    va_end(arguments);
    return written;
}
END
    "$c_compiler" -O2 -c "$parts/fortify.c" -o "$parts/fortify.o"
    cp "$archive" "$parts/libunwind.a"
    ar rD "$parts/libunwind.a" "$parts/fortify.o"
}

# Paths of this machine, which would else stand in panics' messages: they become names that are the same
# everywhere.
find_paths() {
    local cargo_home=${CARGO_HOME:-$HOME/.cargo} folder
    "$cargo" fetch --locked --target "$target"
    paths=("$PWD=/s3up")
    for folder in "$cargo_home"/registry/src/*; do
        paths+=("$folder=/crates")
    done
}

find_c_compiler
find_rust
find_paths

flags=(-Ctarget-feature=+crt-static "${extra_rust[@]}")
# mimalloc would have the time of its compilation in it.
c_flags=(-Wno-builtin-macro-redefined '-D__DATE__="-"' '-D__TIME__="-"')
for path in "${paths[@]}"; do
    flags+=("--remap-path-prefix=$path")
    c_flags+=("-ffile-prefix-map=$path")
done
# Their separator, since a path may hold a blank.
CARGO_ENCODED_RUSTFLAGS=$(printf '%s\x1f' "${flags[@]}")
export CARGO_ENCODED_RUSTFLAGS=${CARGO_ENCODED_RUSTFLAGS%$'\x1f'}
name=${target//-/_}
export "CC_$name=$c_compiler" "CFLAGS_$name=${c_flags[*]}" "AR_$name=ar"
if [ -n "$linker" ]; then
    export "CARGO_TARGET_$(tr a-z- A-Z_ <<< "$target")_LINKER=$linker"
fi
export RUSTC=$rustc

"$rustc" --version
"$cargo" build --release --locked --target "$target" --bin s3up --bin s3up-server "${extra_cargo[@]}"

for program in s3up s3up-server; do
    # Not a library that the loader has to find, and no loader.
    if readelf -ld "$built/$program" | grep -E 'NEEDED|INTERP'; then
        fail "$built/$program is not static"
    fi
done
sha256sum "$built/s3up" "$built/s3up-server"
