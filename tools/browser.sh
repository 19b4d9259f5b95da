#!/usr/bin/env bash
# Makes sure that the browser tests find what they need: Chromium with its driver, from Debian's
# packages, and axe-core, pinned with its hash, in .tools/browser. Quiet when all of it is there.
#
# Packages are installed only as root; everybody else is told what to install.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pinned=$root/tools/browser
folder=$root/.tools/browser

fail() {
  printf 'browser: %s\n' "$*" >&2
  exit 1
}

if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then
  remedy='the browser tests need chromium and chromedriver (Debian: apt-get install chromium chromium-driver)'
  if ! command -v apt-get >/dev/null || [[ $(id -u) != 0 ]]; then
    fail "$remedy"
  fi
  printf 'browser: installing chromium and chromium-driver\n' >&2
  install=(apt-get install --yes --quiet --no-install-recommends chromium chromium-driver)
  DEBIAN_FRONTEND=noninteractive "${install[@]}" >/dev/null ||
    { apt-get update --quiet >/dev/null && DEBIAN_FRONTEND=noninteractive "${install[@]}" >/dev/null; } ||
    fail "could not be installed; $remedy"
fi

cmp --silent "$pinned/package-lock.json" "$folder/package-lock.json" &&
  [[ -f $folder/node_modules/axe-core/axe.min.js ]] && exit 0
command -v npm >/dev/null || fail 'npm is needed for the accessibility tests; install Node.js'
printf 'browser: fetching axe-core into .tools/browser\n' >&2
mkdir -p "$folder"
cp "$pinned/package.json" "$pinned/package-lock.json" "$folder"
npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --silent ||
  fail 'axe-core could not be fetched; look at the network and at the settings of npm'
