#!/usr/bin/env bash
# Makes sure that the npm packages of tests/node are in .tools/node, where the tests look for them.
# Quiet when they are. Pinned by tests/node/package-lock.json, from the registry that npm is set to;
# no package's own scripts run. Where node is missing and this is root on Debian or Ubuntu, apt
# installs it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
project=$root/tests/node
folder=$root/.tools/node

fail() {
  printf 'node-test: %s\n' "$*" >&2
  exit 1
}

cmp --silent "$project/package-lock.json" "$folder/package-lock.json" &&
  command -v node >/dev/null && exit 0

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
    fail "node and npm (20 or newer) are needed for the tests of formats; install them (nodejs, npm)"
  printf 'node-test: installing nodejs and npm\n' >&2
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null ||
    fail "nodejs and npm could not be installed (see above)"
fi
printf 'node-test: fetching the pinned packages into .tools/node\n' >&2
fresh=$folder.$$
# shellcheck disable=SC2064 # the folder of now is meant
trap "rm -rf '$fresh'" EXIT
mkdir -p "$fresh"
cp "$project/package.json" "$project/package-lock.json" "$fresh"
npm ci --prefix "$fresh" --ignore-scripts --no-audit --no-fund --loglevel=error >&2 ||
  fail "could not be fetched (see above); look at the network and at npm's settings"
(cd "$fresh" && node -e '
  for (const name of Object.keys(require("./package.json").dependencies)) require(name);
') || fail "what was fetched does not work with node $(node --version)"
rm -rf "$folder"
mv "$fresh" "$folder"
