#!/usr/bin/env bash
# Makes sure that the tests have a prometheus and a promtool. Quiet when they do.
#
# They are looked for in .tools/prometheus and on PATH. When there are none, Debian's package is
# fetched by apt (which checks its signature) and unpacked into .tools/prometheus: nothing outside
# the checkout changes, but for apt's own package lists when they are missing and this is root.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$root/.tools/prometheus

say() { printf 'prometheus: %s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}

[[ -x $folder/usr/bin/prometheus && -x $folder/usr/bin/promtool ]] && exit 0
command -v prometheus >/dev/null && command -v promtool >/dev/null && exit 0

remedy='install prometheus with promtool (https://prometheus.io/download) and put both on PATH'
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
  fail "the tests need one, and this is no Debian to fetch it from; $remedy"
if ! apt-cache show prometheus >/dev/null 2>&1; then
  ((EUID == 0)) || fail "apt knows no package prometheus; run \`apt-get update\` as root, or $remedy"
  apt-get update -qq || fail "apt cannot be updated; $remedy"
fi
say "fetching Debian's package into .tools/prometheus"
fresh=$folder.$$
# shellcheck disable=SC2064 # the folder of now is meant
trap "rm -rf '$fresh'" EXIT
mkdir -p "$fresh/package"
(cd "$fresh/package" && apt-get download -qq -o APT::Sandbox::User=root prometheus) ||
  fail "could not be fetched; $remedy"
dpkg-deb -x "$fresh"/package/prometheus_*.deb "$fresh"
rm -rf "$fresh/package"
"$fresh/usr/bin/promtool" --version >/dev/null ||
  fail "what was fetched does not run on this machine; $remedy"
rm -rf "$folder"
mv "$fresh" "$folder"
