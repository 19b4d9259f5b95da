#!/usr/bin/env bash
# Makes sure that the tools of tools/requirements-deploy.txt are in .tools/deploy, where the tests of
# the files for containers and Kubernetes look for them. Quiet when they are. Hash-checked, nothing
# outside the checkout changes.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pinned=$root/tools/requirements-deploy.txt
folder=$root/.tools/deploy

fail() {
  printf 'deploy-tools: %s\n' "$*" >&2
  exit 1
}

cmp --silent "$pinned" "$folder/requirements-deploy.txt" && exit 0

command -v python3 >/dev/null || fail "python3 is needed for the tests; install it"
python3 -m pip --version >/dev/null 2>&1 ||
  fail "python3 has no pip, which is needed for the tests; install it (python3-pip)"
printf 'deploy-tools: fetching the pinned tools into .tools/deploy\n' >&2
fresh=$folder.$$
# shellcheck disable=SC2064 # the folder of now is meant
trap "rm -rf '$fresh'" EXIT
PIP_USER=0 PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet \
  --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
  --target "$fresh" --requirement "$pinned" ||
  fail "could not be fetched (see above); look at the network and at pip's settings"
cp "$pinned" "$fresh"
rm -rf "$folder"
mv "$fresh" "$folder"
