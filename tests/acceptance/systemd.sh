# shellcheck shell=bash
# A systemd (252 or newer) as the first process of namespaces of its own, over a layer that takes every change to this
# machine's root: a host that is gone afterwards. Sourced by the scripts that need such hosts, which run as root's in
# the project's folder; nothing outside is changed.
#
#     begin NAME            a host of that name, with a journal, lo, and nothing else
#     on NAME COMMAND ...   runs a command on it
#     ${root[NAME]}         its root, for files that come from outside
#     at=NAME               the host that `there` and all that builds on it mean
#
# It is run, too, by `begin`: then it becomes that first process.

if [ "${1:-}" = inside ]; then
    set -euo pipefail
    work=$2
    mount --make-rprivate /
    mount -t tmpfs tmpfs "$work"
    mkdir "$work"/{upper,scratch,root}
    mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/scratch" "$work/root"
    cd "$work/root"
    mount -t proc proc proc
    mount -t sysfs -o ro sysfs sys
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        mount -t cgroup2 cgroup2 sys/fs/cgroup
    else
        mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
        mkdir sys/fs/cgroup/{unified,systemd}
        mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
        mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
    fi
    mount -t tmpfs -o mode=755 tmpfs dev
    for device in null zero full random urandom tty; do
        touch "dev/$device"
        mount --bind "/dev/$device" "dev/$device"
    done
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
    mount -t tmpfs tmpfs dev/shm
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    mount -t tmpfs -o mode=755 tmpfs run
    mount -t tmpfs -o mode=1777 tmpfs tmp
    # Images for containers forbid their packages to start services.
    rm -f usr/sbin/policy-rc.d
    mkdir -p run/systemd/system
    printf '[Unit]\nDefaultDependencies=no\nWants=systemd-journald.service\n' > run/systemd/system/trial.target
    echo "$3" > etc/hostname
    mkdir old
    pivot_root . old
    umount -l /old
    ip link set lo up
    # systemd's own mounts, such as those with credentials, have to reach its services.
    mount --make-rshared /
    exec env -i container=s3up-trial PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --system --unit=trial.target --show-status=0
fi

declare -A first=() root=()
outer=() groups=() folders=()
trap end EXIT
# Hosts do not outlive a script that is broken off.
trap 'exit 130' INT TERM

begin() {
    local host=$1 folder place own=()
    folder=$(mktemp -d)
    folders+=("$folder")
    # A control group of its own, where systemd makes those of its services.
    for place in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
        [ -e "$place/cgroup.procs" ] && mkdir "$place/s3up-$host-$$" && own+=("$place/s3up-$host-$$")
    done
    groups+=("${own[@]}")
    (
        for place in "${own[@]}"; do echo "$BASHPID" > "$place/cgroup.procs"; done
        exec unshare --mount --pid --cgroup --net --ipc --uts --fork \
            bash tests/acceptance/systemd.sh inside "$folder" "$host"
    ) > "$folder/log" 2>&1 &
    outer+=($!)
    for _ in $(seq 100); do
        sleep 0.1
        first[$host]=$(pgrep -P "${outer[-1]}" | head -1) || continue
        [ "$(cat "/proc/${first[$host]}/comm" 2> /dev/null)" = systemd ] && break
    done
    root[$host]=/proc/${first[$host]}/root
    # systemctl finds its manager by a socket that is there when it is ready.
    for _ in $(seq 100); do
        on "$host" systemctl is-system-running > /dev/null 2>&1 && return
        sleep 0.1
    done
    cat "$folder/log"
    fail "no systemd at $host"
}
end() {
    # The first process of a process namespace takes the others with it.
    for host in "${!first[@]}"; do kill -KILL "${first[$host]}" 2> /dev/null || true; done
    for process in "${outer[@]}"; do wait "$process" 2> /dev/null || true; done
    for group in "${groups[@]}"; do
        find "$group" -depth -type d -exec rmdir {} \; 2> /dev/null || true
    done
    rm -rf "${folders[@]}"
}
on() {
    nsenter -t "${first[$1]}" -m -p -C -n -i -u -r -w \
        env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${@:2}"
}

there() { on "$at" "$@"; }
step() { printf '== %s\n' "$*"; }
fail() {
    echo "FAILED: $*"
    for host in "${!first[@]}"; do
        echo "-- the journal of $host"
        on "$host" journalctl --no-pager -o short-precise -n 60 -u s3up -u s3up-server || true
    done
    exit 1
}
# Waits until a command succeeds.
until_ok() {
    for _ in $(seq 150); do "$@" > /dev/null 2>&1 && return; sleep 0.1; done
    fail "in vain: $*"
}
property() { there systemctl show -P "$1" "$2"; }
is() { [ "$(property "$1" "$2")" = "$3" ] || fail "$2: $1 is $(property "$1" "$2") and not $3"; }
says() { there journalctl --no-pager -o cat -u "$1" | grep -F -q -e "$2"; }
put() { there sh -c "mkdir -p \"\$(dirname $1)\" && cat > $1 && chmod $2 $1"; }
