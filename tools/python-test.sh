#!/usr/bin/env bash
# Makes sure that the Python packages of tools/requirements-test.txt are in .tools/python, where the
# tests look for them. Quiet when they are. Hash-checked, nothing outside the checkout changes.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pinned=$root/tools/requirements-test.txt
folder=$root/.tools/python

fail() {
  printf 'python-test: %s\n' "$*" >&2
  exit 1
}

cmp --silent "$pinned" "$folder/requirements-test.txt" && exit 0

command -v python3 >/dev/null || fail "python3 is needed for the tests; install it"
python3 -m pip --version >/dev/null 2>&1 ||
  fail "python3 has no pip, which is needed for the tests; install it (python3-pip)"
printf 'python-test: fetching the pinned packages into .tools/python\n' >&2
fresh=$folder.$$
# shellcheck disable=SC2064 # the folder of now is meant
trap "rm -rf '$fresh'" EXIT
PIP_USER=0 PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet \
  --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
  --target "$fresh" --requirement "$pinned" ||
  fail "could not be fetched (see above); look at the network and at pip's settings"
PYTHONPATH=$fresh python3 -c 'import standardwebhooks, cloudevents.core.bindings.http' ||
  fail "what was fetched does not work with $(python3 --version)"
cp "$pinned" "$fresh"
rm -rf "$folder"
mv "$fresh" "$folder"
