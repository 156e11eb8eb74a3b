#!/usr/bin/env bash
# Installs, uses, upgrades, removes and purges the packages in target/debian, and looks at what each step
# leaves. All of that happens in a root of its own: this machine's own files below a layer in memory that takes
# every change (overlayfs), so that nothing is downloaded and nothing here is touched.
#
# Needs root on Debian or Ubuntu with systemd's programs installed; systemd need not run. The packages'
# scripts are to believe that it does: a file takes the place of systemctl and notes what it is told.
set -euo pipefail
cd "$(dirname "$0")/../.."
. packaging/try/configure.sh

if [ "${1:-}" != inside ]; then
    [ "$(id -u)" = 0 ] || { echo "try/debian: only root can do this" >&2; exit 1; }
    layers=$(mktemp -d)
    trap 'rmdir "$layers"' EXIT
    unshare --mount --pid --fork --kill-child --propagation private bash packaging/try/debian.sh inside "$layers"
    exit
fi

layers=$2
mount -t tmpfs -o mode=755 layers "$layers"
mkdir "$layers/changes" "$layers/work" "$layers/root"
mount -t overlay -o "lowerdir=/,upperdir=$layers/changes,workdir=$layers/work" overlay "$layers/root"
root=$layers/root
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
# What lies below a mount of this machine is not in the layers.
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mkdir -p "$root/run/systemd/system" "$root/tmp/packages"
cp target/debian/s3up_*.deb target/debian/s3up-server_*.deb "$root/tmp/packages"

step() { printf '\n-- %s\n' "$*"; }
fail() {
    echo "try/debian: $*" >&2
    exit 1
}
within=(chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive)
inside() { "${within[@]}" "$@"; }
as() { inside setpriv --reuid="$1" --regid="$1" --init-groups "${@:2}"; }
# For the background, whose number is then the program's own.
become() { exec "${within[@]}" setpriv --reuid="$1" --regid="$1" --init-groups "${@:2}"; }
packages() { inside sh -c "dpkg $1 > /tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; exit 1; }"; }
told=$root/tmp/systemctl.log
# Stops if the scripts have not told systemd just this, without its options, since the last time.
scripts_told() {
    local said
    said=$(sed -E 's/--[a-z=-]+ *//g; /^(daemon-reload|is-|show)/d' "$told" | sort -u | paste -sd ';')
    : > "$told"
    [ "$said" = "$1" ] || fail "systemd was told \"$said\" and not \"$1\""
}
# Stops if a file is not there with this mode and owner.
is() {
    local seen
    seen=$(inside stat -c '%a %U:%G' "$1") || fail "there is no $1"
    [ "$seen" = "$2" ] || fail "$1 is $seen and not $2"
}
gone() { if [ -e "$root$1" ] || [ -L "$root$1" ]; then fail "$1 is still there"; fi; }
# What is in the layer of changes and was not there before, but for what dpkg and the users' files keep.
left() {
    local path
    (cd "$layers/changes" && find . \( -type f -o -type l -o -type d -empty \) -printf '/%P\n') | sort |
        while read -r path; do
            case $path in
                /var/lib/dpkg/* | /var/log/* | /var/cache/* | /var/lib/systemd/deb-systemd-* | /proc | /dev) ;;
                /etc/passwd* | /etc/shadow* | /etc/group* | /etc/gshadow* | /etc/sub[ug]id* | /etc/.pwd.lock) ;;
                /usr/bin/systemctl*) ;;
                *) [ -d "$path" ] || echo "$path" ;;
            esac
        done
}

for program in deb-systemd-helper systemctl systemd-sysusers; do
    inside sh -c "command -v $program" > /dev/null || fail "there is no $program here"
done
for package in s3up s3up-server; do
    ! inside dpkg -s $package > /dev/null 2>&1 || fail "$package is installed here already"
done
mv "$root/usr/bin/systemctl" "$root/usr/bin/systemctl.real"
cat > "$root/usr/bin/systemctl" << 'END'
#!/bin/sh
echo "$*" >> /tmp/systemctl.log
case " $* " in
    *" is-active "* | *" is-enabled "*) exit 0 ;;
    *" show "*) echo loaded ;;
esac
END
chmod 755 "$root/usr/bin/systemctl"
# Containers have one that forbids all services.
rm -f "$root/usr/sbin/policy-rc.d"
: > "$told"

step "install: nothing is enabled or started, and everything has its owner"
packages "-i /tmp/packages/*.deb"
[ -z "$(inside dpkg --audit)" ] || fail "dpkg is not content"
scripts_told ""
for package in s3up s3up-server; do
    is /usr/bin/$package "755 root:root"
    is /usr/lib/systemd/system/$package.service "644 root:root"
    is /usr/lib/sysusers.d/$package.conf "644 root:root"
    is /usr/share/doc/$package/copyright "644 root:root"
    is /usr/share/man/man1/$package.1.gz "644 root:root"
    is /usr/share/bash-completion/completions/$package "644 root:root"
    gone /etc/systemd/system/multi-user.target.wants/$package.service
    inside getent passwd $package | grep -q '/nologin$' || fail "$package is no user, or can log in"
    [ "$(inside id -gn $package)" = $package ] || fail "$package has no group of its own"
    inside $package --version
    [ -z "$(inside dpkg -V $package)" ] || fail "files of $package are not those of the package"
    writable=$(inside dpkg -L $package | (cd "$root" && sed 's/^/./' | xargs -d '\n' -I{} find {} -maxdepth 0 \
        ! -type l \( -perm /022 -o ! -user root -o ! -group root \)))
    [ -z "$writable" ] || fail "somebody but root may write, or owns: $writable"
done
is /etc/s3up "755 root:root"
[ -z "$(ls -A "$root/etc/s3up")" ] || fail "there is a configuration that nobody wrote"

step "use: both are configured by the examples, a file travels, and both say that they are well"
port=$((20000 + RANDOM % 10000))
watched=$root/srv/www/uploads
mkdir -p "$watched"
install -d -m 750 "$root/var/lib/s3up" "$root/var/lib/s3up-server"
inside chown s3up: /var/lib/s3up
inside chown s3up-server: /var/lib/s3up-server
cmp packaging/client.example.yaml "$root/usr/share/doc/s3up/examples/client.yaml"
cmp packaging/server.example.yaml "$root/usr/share/doc/s3up-server/examples/server.yaml"
configure "$root/etc/s3up" "$(inside s3up-server keygen)" 127.0.0.1 "$port" /var/lib/s3up-server/files /srv/www/uploads
chmod 600 "$root/etc/s3up/client.key"
# As systemd's LoadCredential does.
mkdir -p "$root/run/credentials"
cp "$root/etc/s3up/client.key" "$root/run/credentials/"
inside chown -R s3up: /run/credentials
credentials=(env CREDENTIALS_DIRECTORY=/run/credentials)
as s3up-server s3up-server check -c /etc/s3up/server.yaml
! as s3up-server s3up-server healthcheck -c /etc/s3up/server.yaml 2> /dev/null || fail "nobody runs and is well"
become s3up-server s3up-server -c /etc/s3up/server.yaml 2> "$root/tmp/server.log" &
server=$!
well() {
    local tries
    for tries in $(seq 300); do
        ! "$@" > /dev/null 2>&1 || break
        sleep 0.1
    done
    "$@" || { cat "$root"/tmp/*.log; fail "not well after $tries looks: $*"; }
}
well as s3up-server s3up-server healthcheck -c /etc/s3up/server.yaml
as s3up-server s3up-server healthcheck --ready -c /etc/s3up/server.yaml
as s3up "${credentials[@]}" s3up check -c /etc/s3up/client.yaml
# By hand root needs no credentials: the file lies where the configuration's default says.
inside s3up check -c /etc/s3up/client.yaml > /dev/null || fail "root cannot check"
echo hello > "$watched/hello.txt"
become s3up "${credentials[@]}" s3up -c /etc/s3up/client.yaml 2> "$root/tmp/client.log" &
client=$!
well as s3up "${credentials[@]}" s3up healthcheck -c /etc/s3up/client.yaml
stored=/var/lib/s3up-server/files/webapp-prod/uploads/hello.txt
well inside cmp "$stored" /srv/www/uploads/hello.txt
kill "$client" "$server"
for program in "$client" "$server"; do
    wait "$program" || fail "they did not end well: $(cat "$root"/tmp/*.log)"
done

step "upgrade: the configuration stays, what runs is restarted, what is enabled stays so"
inside systemctl.real enable --quiet s3up.service s3up-server.service
sums=$(cd "$root/etc/s3up" && sha256sum -- *)
packages "-i /tmp/packages/*.deb"
scripts_told "try-restart s3up-server.service;try-restart s3up.service"
[ "$sums" = "$(cd "$root/etc/s3up" && sha256sum -- *)" ] || fail "an upgrade changed the configuration"
inside systemctl.real is-enabled --quiet s3up.service || fail "an upgrade disabled the service"

step "remove: both are stopped and gone, configuration and state stay"
packages "-r s3up s3up-server"
scripts_told "stop s3up-server.service;stop s3up.service"
gone /usr/bin/s3up
gone /usr/bin/s3up-server
gone /usr/share/doc/s3up
[ "$sums" = "$(cd "$root/etc/s3up" && sha256sum -- *)" ] || fail "a removal took the configuration"
[ -f "$root/var/lib/s3up/client.db" ] || fail "a removal took what the client remembers"

step "install again, and purge one: the other's files stay"
packages "-i /tmp/packages/*.deb"
inside systemctl.real is-enabled --quiet s3up.service || fail "the service is not enabled as it was"
: > "$told"
packages "-P s3up"
scripts_told "stop s3up.service"
[ -f "$root/etc/s3up/server.yaml" ] || fail "the client's purge took the server's configuration"
gone /etc/s3up/client.yaml
gone /etc/s3up/client.key
gone /var/lib/s3up

step "purge the other: nothing is left but backups, and the users"
packages "-P s3up-server"
gone /etc/s3up
is "$stored" "600 s3up-server:s3up-server"
rm -r "$root/var/lib/s3up-server" "$root/srv/www"
left=$(left)
[ -z "$left" ] || fail "a purge leaves $left"
echo
echo "the packages come and go as they should"
