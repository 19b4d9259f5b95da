#!/bin/sh
# Makes the keys that kustomization.yaml names, once; what is there stays. Needs the program `tidings`.
set -eu
cd "$(dirname "$0")"

tidings nats-users --keys keys --env keys/nats.env --out keys/users.conf
[ -s keys/sealing.keys ] || tidings secrets generate --secret-key-file keys/sealing.keys
