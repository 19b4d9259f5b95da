#!/usr/bin/env bash
# Runs every fuzz target for a while (SECONDS_EACH, a minute unless set), or those that are named.
# What a target finds lies in fuzz/artifacts. Uses cargo-fuzz from PATH, or the pinned one,
# hash-checked, in .tools/fuzz. No sanitizer, which stable Rust does not have: there is no unsafe code
# of ours, and what is looked for are panics, hangs and broken assertions.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$root/.tools/fuzz
seconds=${SECONDS_EACH:-60}
export PATH=$PATH:$folder/bin

if ! command -v cargo-fuzz >/dev/null; then
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
    --only-binary :all: --require-hashes --target "$folder" -r "$root/tools/requirements-fuzz.txt"
fi
cd "$root"
python3 fuzz/seeds.py fuzz/corpus
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo-fuzz fuzz list)
for target in "${targets[@]}"; do
  echo "fuzz: $target for $seconds s"
  cargo-fuzz fuzz run --sanitizer none "$target" "fuzz/corpus/$target" -- \
    -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -verbosity=0
done
