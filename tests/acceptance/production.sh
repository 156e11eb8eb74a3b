#!/usr/bin/env bash
# README.md's way to production, word for word, on two hosts that each run a systemd of their own, and then what its
# "Operations" tell. It takes root, a minute or two, and a bucket; nothing outside is changed.
#
#     sudo -E tests/acceptance/production.sh [--packages FOLDER]
#
# Each block of README.md whose fence says `sh packages`, `sh values`, `sh server` or `sh client` is taken from there and
# given to bash, in order. FOLDER has the two packages, if they are not to be built. The bucket is named by S3_ENDPOINT
# (http://host:port), S3_REGION, S3_BUCKET, S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY; backups/web-1 in it is this
# script's.
set -euo pipefail
cd "$(dirname "$0")/../.."
packages=
case ${1:-} in
    '') ;;
    --packages) packages=$(realpath "${2:?}") ;;
    *) echo "usage: production.sh [--packages FOLDER]" >&2; exit 2 ;;
esac
. tests/acceptance/systemd.sh

blocks=$(mktemp -d)
folders+=("$blocks")
awk -v to="$blocks" '
    /^```sh (packages|values|server|client)$/ { file = sprintf("%s/%02d.%s", to, ++n, $2); printf "" > file; next }
    /^```/ { file = "" }
    file { print > file }' README.md
for kind in packages values server client; do
    compgen -G "$blocks/*.$kind" > /dev/null || fail "README.md has no block \`sh $kind\` any more"
done
for host in server client; do begin $host; done

# THE WORLD OUTSIDE, which these hosts do not have.
# A network between them ...
ip link add eth0 netns "${first[server]}" type veth peer name eth0 netns "${first[client]}"
on server ip address add 192.0.2.1/24 dev eth0
on client ip address add 192.0.2.2/24 dev eth0
for host in server client; do on $host ip link set eth0 up; done
# ... with a name service ...
for host in server client; do echo "192.0.2.1 backup.example.com" >> "${root[$host]}/etc/hosts"; done
# ... and S3, at the server alone: what comes to its 127.0.0.1:3900 goes through a socket in the file system, which
# namespaces of networks do not part, to the bucket.
proxy=/lib/systemd/systemd-socket-proxyd
systemd-socket-activate -l "$blocks/s3.sock" "$proxy" "${S3_ENDPOINT#http://}" 2> /dev/null &
outside=($!)
nsenter -t "${first[server]}" -n systemd-socket-activate -l 127.0.0.1:3900 "$proxy" "$blocks/s3.sock" 2> /dev/null &
outside+=($!)
trap 'kill "${outside[@]}" 2> /dev/null; end' EXIT
# An authority that everybody trusts ...
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=Everybody's Authority" \
    -keyout "$blocks/ca.key" -out "$blocks/ca.crt" 2> /dev/null
for host in server client; do
    install -m 644 "$blocks/ca.crt" "${root[$host]}/usr/local/share/ca-certificates/everybody.crt"
    on $host update-ca-certificates > /dev/null 2>&1
done
# ... which answers certbot: it leaves what the real one leaves, and `certbot renew` runs the hooks.
install -d -m 700 "${root[server]}/root/authority"
install -m 600 "$blocks/ca.key" "$blocks/ca.crt" "${root[server]}/root/authority/"
install -m 755 /dev/stdin "${root[server]}/usr/local/sbin/certbot" << 'END'
#!/bin/bash
set -euo pipefail
umask 077
while [ $# -gt 0 ]; do
    case $1 in
        certonly | renew) verb=$1 ;;
        -d) echo "$2" > /root/authority/name; shift ;;
    esac
    shift
done
name=$(cat /root/authority/name)
live=/etc/letsencrypt/live/$name archive=/etc/letsencrypt/archive/$name
mkdir -p "$live" "$archive"
n=$(($(ls "$archive" | grep -c privkey || true) + 1))
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$name" -keyout "$archive/privkey$n.pem" |
    openssl x509 -req -days 90 -CA /root/authority/ca.crt -CAkey /root/authority/ca.key \
        -extfile <(echo "subjectAltName=DNS:$name") -out "$archive/fullchain$n.pem"
chmod 644 "$archive/fullchain$n.pem"
for file in privkey fullchain; do ln -sf "../../archive/$name/$file$n.pem" "$live/$file.pem"; done
if [ "$verb" = renew ]; then RENEWED_LINEAGE=$live run-parts /etc/letsencrypt/renewal-hooks/deploy; fi
END
sed -i 's/^#!.*/&\nexec 2> \/root\/authority\/log/' "${root[server]}/usr/local/sbin/certbot"
# Packages are installed by the real apt-get, which cannot fetch any: certbot it need not.
for host in server client; do
    install -m 755 /dev/stdin "${root[$host]}/usr/local/sbin/apt-get" << 'END'
#!/bin/bash
for word; do [ "$word" = certbot ] || words+=("$word"); done
exec /usr/bin/apt-get "${words[@]}"
END
done

# What the reader has: a site whose users' files are for the site alone.
there_was() { on client sh -c "mkdir -p /var/www/webapp/uploads && cd /var/www/webapp && $1 && chown -R www-data: ."; }
there_was 'echo "from before" > uploads/before.txt && chmod 600 uploads/before.txt && chmod 700 uploads'

# What the reader types when it is asked for.
answers() {
    sed -n 's/.*read -rsp "\(.*\): ".*/\1/p' "$1" | while read -r asked; do
        case $asked in
            "access key ID") echo "$S3_ACCESS_KEY_ID" ;;
            "secret access key") echo "$S3_SECRET_ACCESS_KEY" ;;
            api_key) on server sed -n 's/^api_key: "\(.*\)"$/\1/p' /root/web-1.key ;;
        esac
    done
}
# The values are the reader's own: those of the bucket that there is.
ours() { printf 'BUCKET=%q REGION=%q ENDPOINT=http://127.0.0.1:3900\n' "$S3_BUCKET" "$S3_REGION"; }
paste_at() {
    step "$1: $(grep -v -e '^#' -e '^$' "$2" | head -1) ..."
    {
        # As hardened hosts have it.
        echo 'umask 077'
        cat "$blocks"/*.values
        [ "$1" != server ] || ours
        cat "$2"
    } > "${root[$1]}/root/pasted"
    answers "$2" | on "$1" bash -c 'cd /root && exec bash -euo pipefail pasted' || fail "README.md's lines at $1"
}
for block in "$blocks"/*.*; do
    case $block in
        *.packages)
            if [ -z "$packages" ]; then
                bash -euo pipefail "$block"
                packages=target/debian
            fi
            cp "$packages"/s3up-server_*.deb "${root[server]}/root/"
            cp "$packages"/s3up_*.deb "${root[client]}/root/"
            ;;
        *.server) paste_at server "$block" ;;
        *.client) paste_at client "$block" ;;
    esac
done
. tests/acceptance/production_steps.sh
