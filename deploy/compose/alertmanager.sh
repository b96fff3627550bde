#!/bin/sh
# Puts the addresses that alerts go to where Alertmanager reads them, for nobody else to see, and starts it.
set -eu
umask 077
nobody=http://127.0.0.1:9/nobody-has-been-named
printf %s "${PEOPLE_URL:-$nobody}" >/etc/alertmanager/secrets/people-url
printf %s "${DEAD_MAN_URL:-$nobody}" >/etc/alertmanager/secrets/dead-man-url
unset PEOPLE_URL DEAD_MAN_URL
exec alertmanager --config.file=/etc/alertmanager/alertmanager.yml --storage.path=/alertmanager --cluster.listen-address=
