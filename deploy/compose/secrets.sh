#!/bin/sh
# Makes what each service proves itself with, once: a key for each user of the broker, and the key
# that secrets of webhooks are sealed with. Each lies in a volume that only its service mounts.
set -eu

secrets=${SECRETS:-/secrets}
tidings nats-users --keys "$secrets" --out "$secrets/nats/users.conf"
chmod 0644 "$secrets/nats/users.conf"
if [ ! -s "$secrets/sender-default/sealing.keys" ]; then
  tidings secrets generate --secret-key-file "$secrets/sender-default/sealing.keys"
fi
