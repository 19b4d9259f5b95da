#!/bin/sh
# Makes a webhook to the demo receiver, once, and publishes a few events.
set -eu

operator=/secrets/operator/nats.nk
export TIDINGS_NATS_NKEY="$operator" TIDINGS_SPACE=demo
if ! tidings --json webhook list | grep -q '"Demo"'; then
  tidings --json webhook create --name Demo --url "http://$DEMO_RECEIVER:9000/hooks/1" \
    --topic '*.*' --egress-allow "$DEMO_RECEIVER/32" >/dev/null
fi
for id in 1 2 3; do
  tidings event send --topic Entry.publish --entity-id "entry-$id" --content-type article \
    --payload "{\"sys\": {\"id\": \"entry-$id\"}}" \
    --ingest-url http://ingest:8080 --token-file /secrets/operator/admin-token
done
