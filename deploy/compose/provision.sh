#!/bin/sh
# Makes or upgrades what lies on the broker, and, once, an admin token. Run at every start.
set -eu

secrets=${SECRETS:-/secrets}
operator=$secrets/operator/nats.nk
tidings provision --nats-nkey "$secrets/provision/nats.nk" --sync always
tidings secrets use --nats-nkey "$operator" --secret-key-file "$secrets/sender-default/sealing.keys"
token=$secrets/operator/admin-token
if [ ! -s "$token" ]; then
  umask 077
  tidings --json token create --scope admin --name compose --nats-nkey "$operator" >"$token.json"
  sed -n 's/.*"token": *"\([^"]*\)".*/\1/p' "$token.json" >"$token.new"
  rm "$token.json"
  [ -s "$token.new" ]
  mv "$token.new" "$token"
fi
