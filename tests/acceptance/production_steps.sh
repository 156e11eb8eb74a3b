# What `production.sh` does once README.md's lines have run: their result, and README.md's "Operations".

site=/var/www/webapp/uploads
as_site() { on client setpriv --reuid=www-data --regid=www-data --clear-groups sh -c "umask 077; cd $site && $1"; }
# The bytes of an object, as S3 itself has them.
object() {
    curl -fsS --aws-sigv4 "aws:amz:$S3_REGION:s3" -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" "${@:2}" \
        --config <(printf 'user = "%s:%s"' "$S3_ACCESS_KEY_ID" "$S3_SECRET_ACCESS_KEY") \
        "$S3_ENDPOINT/$S3_BUCKET/backups/web-1/$1"
}
same() { cmp <(object "$1") "${root[client]}$2"; }
stored() { until_ok same "$@"; }
# What the journals have that somebody would have to look at, since the last time. A client that meets a server which is
# being restarted says that it waits, and then that it goes on.
worries() {
    for host in server client; do
        on $host journalctl --no-pager -o cat --cursor-file=/root/read -u s3up -u s3up-server | grep -E 'WARN|ERROR|[Ff]ail' | grep -v 'uploads pause for 1 s' || true
    done
}
calm() {
    local seen
    seen=$(worries)
    [ -z "$seen" ] || fail "a reader would worry: $seen"
}
worried() { worries | grep -F -q -e "$1" || fail "no journal says: $1"; }
unit() { case $1 in server) echo s3up-server ;; client) echo s3up ;; esac; }
running() { for at in server client; do is ActiveState "$(unit $at)" active; done; }
mode() { [ "$(on "$1" stat -c '%a %U:%G' "$2")" = "$3" ] || fail "$2 is $(on "$1" stat -c '%a %U:%G' "$2"), not $3"; }
# A file of YAML is changed as by an editor: a new one takes the place of the old one.
edit() { there sed -i "$2" "$1"; }

step "both run, the bytes are in the bucket, and secrets are for root alone"
running
calm
stored uploads/first.txt $site/first.txt
stored uploads/before.txt $site/before.txt
as_site 'echo "changed by the site" > before.txt'
stored uploads/before.txt $site/before.txt
mode client $site/before.txt "600 www-data:www-data"
at=client
rested() { [ "$(property StatusText s3up)" = "0 files wait, 0 parked, 3 files uploaded since the start" ]; }
until_ok rested
for secret in web-1.key ../etc/s3up/s3-access-key-id ../etc/s3up/s3-secret-access-key; do
    mode server /root/$secret "600 root:root"
done
mode client /etc/s3up/client.key "600 root:root"
mode server /etc/s3up/tls/privkey.pem "640 root:s3up-server"

step "the client's host has no way to S3"
for address in 127.0.0.1 192.0.2.1; do
    ! on client curl -s -m 3 "http://$address:3900" > /dev/null || fail "it has"
done
on server curl -s -m 3 http://127.0.0.1:3900 > /dev/null || fail "the server has none either"

step "a client's key is replaced, and uploads go on"
at=server
old=$(there sed -n 's/^ *api_key_sha256: "\(.*\)"$/\1/p' /etc/s3up/server.yaml)
there sh -c 'umask 077; s3up-server keygen > /root/web-1.new'
new=$(there sed -n 's/^api_key_sha256: "\(.*\)"$/\1/p' /root/web-1.new)
edit /etc/s3up/server.yaml "s/api_key_sha256: .*/api_key_sha256: [\"$old\", \"$new\"]/"
until_ok says s3up-server "was read again"
old_key=$(on client cat /etc/s3up/client.key)
there sed -n 's/^api_key: "\(.*\)"$/\1/p' /root/web-1.new | on client install -m 600 /dev/stdin /etc/s3up/client.key
on client systemctl restart s3up
edit /etc/s3up/server.yaml "s/api_key_sha256: .*/api_key_sha256: \"$new\"/"
asked() {
    [ "$(on client curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $1" \
        "https://backup.example.com:8080/exists?path=a")" = "$2" ]
}
until_ok asked "$old_key" 401
as_site 'echo new > new-key.txt'
stored uploads/new-key.txt $site/new-key.txt
on client s3up check -c /etc/s3up/client.yaml > /dev/null || fail "check"
calm

step "a key that is taken out opens nothing after a reload"
at=server
there cp -p /etc/s3up/server.yaml /root/server.yaml
edit /etc/s3up/server.yaml "s/api_key_sha256: .*/api_key_sha256: \"$old\"/"
there systemctl reload s3up-server
new_key=$(on client cat /etc/s3up/client.key)
until_ok asked "$new_key" 401
there cp -p /root/server.yaml /etc/s3up/server.yaml
there systemctl reload s3up-server
until_ok asked "$new_key" 200
calm

step "the bucket's credentials are replaced"
printf wrong | put /etc/s3up/s3-secret-access-key 600
there systemctl restart s3up-server
! there s3up-server check -c /etc/s3up/server.yaml > "$blocks/answer" || fail "check finds a wrong key right"
grep -q 'FAILED: .*check s3.access_key_id' "$blocks/answer" || fail "check does not say what is wrong"
as_site 'echo meanwhile > meanwhile.txt'
printf %s "$S3_SECRET_ACCESS_KEY" | put /etc/s3up/s3-secret-access-key 600
there systemctl restart s3up-server
stored uploads/meanwhile.txt $site/meanwhile.txt
worried "check s3.access_key_id"

step "the certificate is renewed while an upload comes in"
shown() { on client sh -c 'openssl s_client -connect backup.example.com:8080 < /dev/null 2> /dev/null | openssl x509 -noout -serial'; }
before=$(shown)
on client sh -c 'head -c 18M /dev/urandom > /root/large'
on client curl -fsS --limit-rate 1M -H "Authorization: Bearer $(on client cat /etc/s3up/client.key)" -F path=large \
    -F file=@/root/large https://backup.example.com:8080/upload > "$blocks/answer" &
upload=$!
on server certbot renew
another() { [ "$(shown)" != "$before" ]; }
until_ok another
kill -0 $upload 2> /dev/null || fail "the upload was too fast to tell"
wait $upload || fail "the upload broke"
same large /root/large || fail "the upload is another one"
as_site 'echo renewed > renewed.txt'
stored uploads/renewed.txt $site/renewed.txt
calm

step "systemctl reload takes a changed file, and refuses a broken one"
at=server
there cp -p /etc/s3up/server.yaml /root/server.yaml
there sh -c "s3up-server keygen | sed -n 's/^api_key_sha256:/  - name: web-2\n    api_key_sha256:/p' >> /etc/s3up/server.yaml"
there systemctl reload s3up-server
until_ok says s3up-server "web-2"
edit /etc/s3up/server.yaml 's/port: 8080/port: many/'
there systemctl reload s3up-server
refused() { property StatusText "$(unit $at)" | grep -q 'is refused'; }
until_ok refused
running
worried "many"
at=server
there cp -p /root/server.yaml /etc/s3up/server.yaml
there systemctl reload s3up-server
at=client
there sh -c 'mkdir -p /srv/data && echo data > /srv/data/a'
there cp -p /etc/s3up/client.yaml /root/client.yaml
edit /etc/s3up/client.yaml 's|^scan:|  - {local_path: /srv/data, remote_prefix: data/}\n&|'
there systemctl reload s3up
stored data/a /srv/data/a
there sh -c 'echo "colour: red" >> /etc/s3up/client.yaml'
there systemctl reload s3up
until_ok refused
running
at=client
worried "colour"
! there s3up check -c /etc/s3up/client.yaml > "$blocks/answer" 2>&1 || fail "check takes it"
grep -q colour "$blocks/answer" || fail "check does not say what is wrong"
there cp -p /root/client.yaml /etc/s3up/client.yaml
there systemctl reload s3up

step "both are restarted while files come"
as_site 'for n in 1 2 3 4 5 6 7 8 9; do echo $n > many-$n.txt; sleep 0.2; done' &
files=$!
on server systemctl restart s3up-server
on client systemctl restart s3up
wait $files
for n in 1 2 3 4 5 6 7 8 9; do stored uploads/many-$n.txt $site/many-$n.txt; done
running
calm

step "an upgrade restarts what runs"
for at in server client; do
    name=$(unit $at)
    pid=$(property MainPID "$name")
    dpkg-deb -R "$packages/$name"_[0-9]*.deb "$blocks/$name"
    sed -i 's/^Version: .*/&+1/' "$blocks/$name/DEBIAN/control"
    dpkg-deb -b -Zgzip -z1 "$blocks/$name" "$blocks/next.deb" > /dev/null
    rm "${root[$at]}/root/$name"_*.deb
    cp "$blocks/next.deb" "${root[$at]}/root/${name}_next.deb"
    there sh -c "cd /root && apt-get install -y ./${name}_*.deb" > "$blocks/answer" 2>&1 || fail "$(cat "$blocks/answer")"
    [ "$(property MainPID "$name")" != "$pid" ] || fail "$name was not restarted"
done
running
as_site 'echo upgraded > upgraded.txt'
stored uploads/upgraded.txt $site/upgraded.txt
calm

step "folders elsewhere"
at=client
there sh -c 'mkdir -p /opt/shop/data /home/alice/documents && cd /home/alice && echo shop > /opt/shop/data/a &&
    echo hers > documents/b && chown -R 1000 . && chmod 700 . documents && chmod 600 documents/b'
awk '/^```text drop-in$/ { on = 1; next } /^```/ { on = 0 } on' README.md | put /etc/systemd/system/s3up.service.d/override.conf 644
there systemctl daemon-reload
edit /etc/s3up/client.yaml 's|^scan:|  - {local_path: /opt/shop/data, remote_prefix: shop/}\n  - {local_path: /home/alice/documents, remote_prefix: alice/}\n&|'
there systemctl restart s3up
stored shop/a /opt/shop/data/a
stored alice/b /home/alice/documents/b
calm

step "what is removed keeps its configuration, what is purged leaves what is not its own"
for at in server client; do
    name=$(unit $at)
    there apt-get remove -y "$name" > "$blocks/answer" 2>&1 || fail "$(cat "$blocks/answer")"
    is ActiveState "$name" inactive
    there test -s "/etc/s3up/$at.yaml" || fail "$at.yaml is gone"
    there apt-get purge -y "$name" > "$blocks/answer" 2>&1 || fail "$(cat "$blocks/answer")"
done
left() { on "$1" find /etc/s3up /var/lib/s3up /var/lib/s3up-server ! -type d 2> /dev/null | sort | paste -sd ' '; }
[ "$(left server)" = "/etc/s3up/tls/fullchain.pem /etc/s3up/tls/privkey.pem" ] || fail "left: $(left server)"
[ -z "$(left client)" ] || fail "left: $(left client)"
cmp <(as_site 'cat before.txt') <(echo "changed by the site") || fail "a purge took a file"

# The bucket is left as it was.
for name in large data/a shop/a alice/b uploads/{first,before,new-key,meanwhile,renewed,upgraded,many-{1..9}}.txt; do
    object "$name" -X DELETE
done
echo "all is well"
