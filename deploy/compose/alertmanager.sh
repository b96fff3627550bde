#!/bin/sh
# Puts the addresses that alerts go to into files that nobody else can read, and starts Alertmanager with them.
set -eu
umask 077
nobody=http://127.0.0.1:9/nobody-has-been-named
printf %s "${PEOPLE_URL:-$nobody}" >/tmp/people-url
printf %s "${DEAD_MAN_URL:-$nobody}" >/tmp/dead-man-url
unset PEOPLE_URL DEAD_MAN_URL
sed 's#/etc/alertmanager/secrets/#/tmp/#' /etc/alertmanager/alertmanager.yml >/tmp/alertmanager.yml
exec alertmanager --config.file=/tmp/alertmanager.yml --storage.path=/alertmanager --cluster.listen-address=
