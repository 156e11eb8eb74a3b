#!/usr/bin/env bash
# The pair under its systemd units, really, on a host of its own that is gone afterwards. It takes root and half a
# minute; nothing outside is changed.
#
#     cargo build --locked && sudo tests/acceptance/units.sh
#
# The programs are those of target/debug, or of the folder that S3UP_TEST_PROGRAMS names.
set -euo pipefail
cd "$(dirname "$0")/../.."
programs=${S3UP_TEST_PROGRAMS:-target/debug}
. tests/acceptance/systemd.sh

at=units
begin $at
install "$programs/s3up" "$programs/s3up-server" "${root[$at]}/usr/bin/"
for service in s3up s3up-server; do
    install -D -m 644 "packaging/systemd/$service.service" "${root[$at]}/etc/systemd/system/$service.service"
    install -D -m 644 "packaging/systemd/$service.sysusers" "${root[$at]}/usr/lib/sysusers.d/$service.conf"
done
there systemd-sysusers
. tests/acceptance/units_steps.sh
