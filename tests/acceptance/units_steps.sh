# What `units.sh` does once a systemd runs: `there` runs a command beside it.

KEY=sk_test_0123456789abcdef0123456789abcdef
put /etc/s3up/server.yaml 644 << END
server: {port: 8080}
directory: {path: /var/lib/s3up-server/store}
database: {path: /var/lib/s3up-server/activity.db}
reports: {on_silent: {command: ["/usr/local/bin/s3up-alert"]}}
clients:
  - {name: web, api_key: $KEY}
END
client() {
    put /etc/s3up/client.yaml.new 644 << END
server: {url: "http://127.0.0.1:8080", api_key: $KEY}
database: {path: /var/lib/s3up/client.db}
stability: {debounce_seconds: 0.2}
scan: {upload_existing: true}
watches:
  - {local_path: /var/www/site/uploads, remote_prefix: uploads/}
$1
END
    # As an editor does.
    there mv /etc/s3up/client.yaml.new /etc/s3up/client.yaml
}
client ""
printf '#!/bin/sh\nsed s/^/told:/ >&2; id >&2\n' | put /usr/local/bin/s3up-alert 755
printf secret | put /etc/s3up/s3-secret-access-key 600
printf %s "$KEY" | put /etc/s3up/client.key 600
printf 'mine alone' | put /var/www/site/uploads/private 600
printf x | put /srv/data/x 644
there chown -R www-data /var/www/site
there chmod 700 /var/www/site/uploads
there mkdir -p /run/systemd/system/s3up-server.service.d
printf '[Service]\nExecStartPost=/usr/bin/s3up-server alert --test -c /etc/s3up/server.yaml\n' |
    put /run/systemd/system/s3up-server.service.d/alert.conf 644
there systemctl daemon-reload

step "both start, and a file that is for its owner alone is stored"
there systemctl start s3up-server s3up || fail "no start"
until_ok there test -s /var/lib/s3up-server/store/web/uploads/private
says s3up-server "command   ok" || fail "a command for alerts does not run"
there s3up status -c /etc/s3up/client.yaml > /dev/null || fail "s3up status"

step "events are heard through the mount"
printf y | put /var/www/site/uploads/deep/er/y 600
until_ok there test -s /var/lib/s3up-server/store/web/uploads/deep/er/y

step "the client sees what it is given"
pid=$(property MainPID s3up)
root=/proc/$pid/root
for hidden in etc/shadow etc/passwd var/log home/. boot usr/bin/sh; do
    # An empty home is one that nobody sees.
    [ -z "$(there sh -c "ls -A $root/$hidden 2> /dev/null")" ] || fail "it sees /$hidden"
done
there test ! -s "$root/etc/s3up/server.yaml" || fail "it sees the server's file"
there test ! -s "$root/etc/s3up/s3-secret-access-key" || fail "it sees the server's key"
there cmp "$root/run/credentials/s3up.service/client.key" /etc/s3up/client.key || fail "no credential"
there sh -c "! touch $root/srv/data/z 2> /dev/null" || fail "it can write to what it backs up"
there grep -q '^CapEff:.*000000004$' "/proc/$pid/status" || fail "capabilities"
there cmp "/proc/$(property MainPID s3up-server)/root/run/credentials/s3up-server.service/s3-secret-access-key" \
    /etc/s3up/s3-secret-access-key || fail "no credential"

step "a reload is a new life in the same process"
client "  - {local_path: /srv/data, remote_prefix: data/}"
there systemctl reload s3up s3up-server || fail "no reload"
until_ok there test -s /var/lib/s3up-server/store/web/data/x
until_ok says s3up-server "was read again: no client has changed"
is MainPID s3up "$pid"
is ActiveState s3up active

step "a wrong file is refused, and shown"
client "colour: red"
there systemctl reload s3up || fail "no reload"
refused() { property StatusText s3up | grep -q 'is refused'; }
until_ok refused
is ActiveState s3up active

step "it ends a restart with code 2, which is not tried again"
if there systemctl restart s3up 2> /dev/null; then fail "it started"; fi
is ExecMainStatus s3up 2
is NRestarts s3up 0
is ActiveState s3up failed

step "a key that is not there is the program's business, not 243"
client ""
there rm /etc/s3up/client.key
there systemctl restart s3up || fail "no start"

step "a program that is stuck is begun anew"
for service in s3up s3up-server; do
    printf '[Service]\nWatchdogSec=2s\nRestartSec=100ms\n' | put /run/systemd/system/$service.service.d/fast.conf 644
done
there systemctl daemon-reload
there systemctl restart s3up s3up-server
sleep 5
for service in s3up s3up-server; do
    is NRestarts $service 0
    there kill -STOP "$(property MainPID $service)"
    begun_anew() { [ "$(property NRestarts $service)" = 1 ]; }
    until_ok begun_anew
    until_ok there systemctl is-active $service
done

step "both end well when they are told to"
there systemctl stop s3up s3up-server
is Result s3up success
is Result s3up-server success
echo "all is well"
