#!/usr/bin/env bash
# Builds the images of packaging/Containerfile, and has the pair move a file between two containers: by the
# images' own entry points, users and health checks, as an engine would.
#
# Needs root, curl, pgrep and buildah (Debian: apt-get install --no-install-recommends buildah): no engine and no daemon.
# Containers share this machine's network, which an engine would not do. The static programs have to be built.
set -euo pipefail
cd "$(dirname "$0")/../.."
. packaging/try/configure.sh

fail() {
    echo "try/containers: $*" >&2
    exit 1
}
step() { printf '\n-- %s\n' "$*"; }

[ "$(id -u)" = 0 ] || fail "only root can do this"
folder=$(mktemp -d)
running=()
clean_up() {
    local pid
    for pid in "${running[@]}"; do kill "$pid" 2> /dev/null || true; done
    buildah_ rm --all > /dev/null 2>&1 || true
    rm -rf "$folder"
}
trap clean_up EXIT
# Neither a daemon nor a file system of its own: it works wherever root can change the root.
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
buildah_() { buildah --root "$folder/storage" --runroot "$folder/running" "$@"; }
# What an image says of itself, a word a line.
says() { buildah_ inspect --type image --format "$2" "s3up-$1" | tr -d '[]'; }
words() { says "$1" "{{range .Docker.Config.$2}}{{println .}}{{end}}" | sed '/^$/d'; }

step "build"
for image in client server; do
    buildah_ build --quiet --format docker --target $image --tag "s3up-$image" -f packaging/Containerfile . > /dev/null
    [ "$(says $image '{{.Docker.Config.User}}')" = 65532:65532 ] || fail "$image runs as another user"
done
# What an engine would run to start it, and to ask how it is.
entry() { words "$1" Entrypoint; words "$1" Cmd; }
health() { words "$1" Healthcheck.Test | sed '1{/^CMD$/d}'; }
mapfile -t entry_server < <(entry server)
mapfile -t entry_client < <(entry client)
mapfile -t health_server < <(health server)
mapfile -t health_client < <(health client)
[ "$(says server '{{.Docker.Config.ExposedPorts}}')" = "map8080/tcp:{}" ] || fail "the port is not said"
server=$(buildah_ from s3up-server) client=$(buildah_ from s3up-client)
# One program, the folders that it writes to, and nothing else.
contents() { (cd "$(buildah_ mount "$1")" && find . -mindepth 1 -printf '%p %m %U\n' | sort | paste -sd ' '); }
expected="./tmp 1777 0 ./usr 755 0 ./usr/bin 755 0 ./usr/bin/s3up 755 0 ./var 755 65532 ./var/lib 755 65532 ./var/lib/s3up 755 65532"
[ "$(contents "$client")" = "$expected" ] || fail "the client's image holds $(contents "$client")"
expected=${expected//s3up/s3up-server}
[ "$(contents "$server")" = "$expected" ] || fail "the server's image holds $(contents "$server")"

step "run"
mkdir "$folder/secrets" "$folder/configuration" "$folder/files"
port=$((20000 + RANDOM % 10000))
configure "$folder/configuration" "$(buildah_ run "$server" -- /usr/bin/s3up-server keygen)" 0.0.0.0 "$port" \
    /var/lib/s3up-server/files /files
mv "$folder/configuration/client.key" "$folder/secrets/client.key"
echo hello > "$folder/files/hello.txt"
chmod 755 "$folder"
volumes_server=(-v "$folder/configuration/server.yaml:/etc/s3up/server.yaml:ro")
volumes_client=(-v "$folder/configuration/client.yaml:/etc/s3up/client.yaml:ro"
    -v "$folder/secrets:/run/secrets:ro" -v "$folder/files:/files:ro")
run_server() { buildah_ run "${volumes_server[@]}" "$server" -- "$@"; }
run_client() { buildah_ run "${volumes_client[@]}" "$client" -- "$@"; }
well() {
    local tries
    for tries in $(seq 100); do
        ! "$@" > /dev/null 2>&1 || break
        sleep 0.2
    done
    "$@" || { cat "$folder"/*.log; fail "not well after $tries looks: $*"; }
}
! run_server "${health_server[@]}" 2> /dev/null || fail "nobody runs and is well"
run_server "${entry_server[@]}" 2> "$folder/server.log" &
running+=($!)
well run_server "${health_server[@]}"
! run_client "${health_client[@]}" 2> /dev/null || fail "nobody runs and is well"
run_client /usr/bin/s3up check -c /etc/s3up/client.yaml
run_client "${entry_client[@]}" 2> "$folder/client.log" &
running+=($!)
well run_client "${health_client[@]}"
download() {
    curl -sSf -H "Authorization: Bearer $(cat "$folder/secrets/client.key")" -o "$folder/back.txt" \
        "http://127.0.0.1:$port/download?path=uploads/hello.txt"
}
well download
cmp "$folder/files/hello.txt" "$folder/back.txt"

step "stop"
# The program is the innermost of the processes that buildah has begun.
innermost() {
    local child
    child=$(pgrep -P "$1" | tail -n 1)
    if [ -z "$child" ]; then echo "$1"; else innermost "$child"; fi
}
for pid in "${running[@]}"; do
    kill -TERM "$(innermost "$pid")"
    wait "$pid" || fail "it does not end well: $(cat "$folder"/*.log)"
done
running=()
echo
echo "the images work"
