#!/usr/bin/env bash
# The pair under its systemd units, really: a systemd (252 or newer) is begun in namespaces of its own, over a
# copy of this machine's root that is gone afterwards. It takes root and half a minute; nothing outside is changed.
#
#     cargo build --locked && sudo tests/acceptance/units.sh
#
# The programs are those of target/debug, or of the folder that S3UP_TEST_PROGRAMS names.
set -euo pipefail
cd "$(dirname "$0")/../.."
programs=$(realpath "${S3UP_TEST_PROGRAMS:-target/debug}")
units=$(realpath packaging/systemd)
name=s3up-units-$$

# The outer half makes namespaces and waits; the inner one, below, becomes their first process.
if [ "${1:-}" != inside ]; then
    work=$(mktemp -d)
    # A control group of our own, where systemd makes those of its services.
    groups=()
    for place in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
        [ -e "$place/cgroup.procs" ] && mkdir "$place/$name" && groups+=("$place/$name")
    done
    touch "$work/console"
    (
        for group in "${groups[@]}"; do echo "$BASHPID" > "$group/cgroup.procs"; done
        exec unshare --mount --pid --cgroup --net --ipc --uts --fork "$0" inside "$work"
    ) > "$work/log" 2>&1 &
    outer=$!
    clean() {
        # The first process of a process namespace takes the others with it.
        kill -KILL "$first" 2> /dev/null || true
        wait "$outer" 2> /dev/null || true
        for group in "${groups[@]}"; do
            find "$group" -depth -type d -exec rmdir {} \; 2> /dev/null || true
        done
        rm -rf "$work"
    }
    first=
    for _ in $(seq 100); do
        sleep 0.1
        first=$(pgrep -P "$outer" | head -1) || continue
        [ "$(cat "/proc/$first/comm" 2> /dev/null)" = systemd ] && break
    done
    trap clean EXIT
    there() { nsenter -t "$first" -m -p -C -n -i -u -r -w env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
    # systemctl finds its manager by a socket that is there when it is ready.
    for _ in $(seq 100); do there systemctl is-system-running > /dev/null 2>&1 && break; sleep 0.1; done
    . "$(dirname "$0")/units_steps.sh"
    exit
fi

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
# What was built may lie below /tmp, or anywhere.
install "$programs/s3up" "$programs/s3up-server" usr/bin/
for service in s3up s3up-server; do
    install -D -m 644 "$units/$service.service" "run/systemd/system/$service.service"
    install -D -m 644 "$units/$service.sysusers" "usr/lib/sysusers.d/$service.conf"
done
printf '[Unit]\nDefaultDependencies=no\nWants=systemd-journald.service\n' > run/systemd/system/trial.target
mkdir old
pivot_root . old
umount -l /old
ip link set lo up
systemd-sysusers
# systemd's own mounts, such as those with credentials, have to reach its services.
mount --make-rshared /
exec env -i container=s3up-units PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=trial.target --show-status=0
