#!/usr/bin/env bash
# Makes sure that the Python packages that tests use are in .tools: those of
# tools/requirements-test.txt in .tools/python, those of tools/requirements-schemathesis.txt in
# .tools/schemathesis. Quiet when they are. Hash-checked, nothing outside the checkout changes.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() {
  printf 'python-test: %s\n' "$*" >&2
  exit 1
}

# Puts the packages that the file $1 pins into the folder $2, unless they are there, and checks that
# the modules $3 can be imported from it.
fetch() {
  local pinned=$1 folder=$2 modules=$3 fresh=$2.$$
  cmp --silent "$pinned" "$folder/requirements.txt" && return
  command -v python3 >/dev/null || fail "python3 is needed for the tests; install it"
  python3 -m pip --version >/dev/null 2>&1 ||
    fail "python3 has no pip, which is needed for the tests; install it (python3-pip)"
  printf 'python-test: fetching the packages of %s\n' "${pinned#"$root"/}" >&2
  # shellcheck disable=SC2064 # the folder of now is meant
  trap "rm -rf '$fresh'" EXIT
  PIP_USER=0 PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet \
    --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    --target "$fresh" --requirement "$pinned" ||
    fail "could not be fetched (see above); look at the network and at pip's settings"
  PYTHONPATH=$fresh python3 -c "import $modules" ||
    fail "what was fetched does not work with $(python3 --version)"
  cp "$pinned" "$fresh/requirements.txt"
  rm -rf "$folder"
  mv "$fresh" "$folder"
  trap - EXIT
}

fetch "$root/tools/requirements-test.txt" "$root/.tools/python" 'standardwebhooks, cloudevents.core.bindings.http'
fetch "$root/tools/requirements-schemathesis.txt" "$root/.tools/schemathesis" schemathesis
