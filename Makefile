.DEFAULT_GOAL := help
WHAT ?= telemetry
.PHONY: help up demo compose test lint bench bench-compare bench-console bench-match fuzz bench-isolation bench-fleet tools cargo

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: tools cargo ## Run everything here and watch CMS events arrive as signed webhooks; Ctrl-C ends it
	cargo run --bin tidings -- --log warn dev --demo

demo: tools cargo ## The same, but ends once everything is delivered and verified
	cargo run --bin tidings -- --log warn dev --demo --exit

compose: ## Run everything in containers, with telemetry (docs/operations.md)
	docker compose up --build --detach --wait

test: tools cargo lint ## Check everything: format, lints, docs, and all tests
	@tools/python-test.sh
	@tools/browser.sh
	@tools/node-test.sh
	@tools/deploy-tools.sh
	@tools/prometheus.sh
	cargo build --workspace --bins --tests
	@if cargo nextest --version >/dev/null 2>&1; then \
		echo 'cargo nextest run --workspace'; \
		cargo nextest run --workspace; \
	else \
		echo 'cargo-nextest is not installed: running `cargo test`, which is slower'; \
		cargo test --workspace; \
	fi
	@printf '\nWhat the kill tests came to:\n'; cat "$${CARGO_TARGET_DIR:-target}/kill-table.txt"
	@printf '\nWhat the cluster test came to:\n'; cat "$${CARGO_TARGET_DIR:-target}/cluster-table.txt"

lint: cargo ## Check format, clippy, documentation and licences
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps
	tools/licences.sh

bench: tools cargo ## Measure the whole pipeline beside its floor (ARGS=--quick for a smoke run)
	cargo build --release --workspace --bins
	cargo run --release --bin tidings-bench -- $(ARGS)

bench-compare: tools cargo ## Measure what telemetry and replicas cost (WHAT=telemetry or replicas; ARGS=--quick)
	cargo build --release --workspace --bins
	cargo run --release --bin tidings-bench -- compare $(WHAT) $(ARGS)

bench-console: cargo ## Measure the console's delivery log with 10 million attempts (ARGS=--quick for a smoke run)
	cargo run --release --bin tidings-bench -- console $(ARGS)

bench-match: cargo ## Measure the index of webhooks beside the naive loop (ARGS=--quick: no million)
	cargo bench -p tidings-router --bench matching -- $(ARGS)

fuzz: cargo ## Fuzz event decoding, filters and transformations, a minute each (SECONDS_EACH=5)
	tools/fuzz.sh

bench-isolation: tools cargo ## Measure what bad endpoints cost the good ones (ARGS=--quick for a smoke run)
	cargo build --release --workspace --bins
	cargo run --release --bin tidings-bench -- isolation $(ARGS)

bench-fleet: tools cargo ## Measure rate limits over 1 and 4 senders, and what one sender holds
	cargo build --release --workspace --bins
	cargo run --release --bin tidings-bench -- fleet $(ARGS)

tools: ## Get a nats-server into .tools unless there is one
	@tools/nats-server.sh

cargo:
	@command -v cargo >/dev/null || { echo 'cargo is missing: install Rust with rustup (https://rustup.rs)' >&2; exit 1; }
