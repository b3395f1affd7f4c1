# Each target installs what it needs on a Debian-like machine.
SECONDS ?= 60
SEEDS ?= 20000
CYCLES ?= 3000
SEED ?= 20261121
.PHONY: demo test judges mutants simulate crashes bench growth fuzz build fmt clippy bless clean help

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

demo: ## one form from a local POST to the sandbox's receipt; KEEP=1 leaves it running
	@packaging/dev/ensure.sh build
	@cargo build --locked --bins
	@cargo run --locked --quiet --bin sceau -- demo $(if $(KEEP),--keep)

test: ## format, lints, all tests, then the foreign judges
	@packaging/dev/ensure.sh test
	@if command -v cargo-fmt >/dev/null; then cargo fmt --check; else echo "SKIPPED: cargo fmt is not installed"; fi
	@if command -v cargo-clippy >/dev/null; then cargo clippy --locked --all-targets --quiet -- -D warnings; else echo "SKIPPED: cargo clippy is not installed"; fi
	@if command -v cargo-deny >/dev/null; then cargo deny --all-features check bans licenses sources; else echo "SKIPPED: cargo deny is not installed"; fi
	cargo test --locked
	@$(MAKE) --no-print-directory judges

judges: ## foreign judges over what the service makes, over bad documents, canonical forms and schemas
	@packaging/dev/ensure.sh test
	@cargo build --locked --quiet --bins
	@tests/judges/run.sh "$$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug" out/judges

mutants: ## switch each protection of the verifier off: the bad documents must notice (half an hour)
	@packaging/dev/ensure.sh test
	@tests/judges/setup.sh
	@tests/judges/refusals/mutations.py

simulate: ## simulated documents with every fault, 50 for each of SEEDS=20000 seeds, and planted defects; optimised build
	@packaging/dev/ensure.sh test
	@SCEAU_SEEDS=$(SEEDS) cargo test --locked --profile simulate --test it simulation:: -- --nocapture

crashes: ## kill -9 of daemon, token worker and insurer at random moments and points; CYCLES=3000 SEED=20261121
	@packaging/dev/ensure.sh test
	@SCEAU_CRASH_CYCLES=$(CYCLES) SCEAU_CRASH_SEED=$(SEED) cargo test --locked --quiet --test it -- --nocapture crash::random_kills

bench: ## CPU and wall time of each stage beside floors, pyHanko and EU DSS; optimised build
	@packaging/dev/ensure.sh test
	@tests/judges/setup.sh
	@cargo bench --locked --quiet --bench stages

growth: ## what a document costs with a million records, 20 MB documents, 100 practitioners; recovery with 100,000 open ones; optimised build, 15 GB of disk
	@packaging/dev/ensure.sh build
	@cargo bench --locked --quiet --bench growth

fuzz: ## coverage-guided fuzzing of every parser; SECONDS=60 for each, TARGETS="pdf xml" for some
	@packaging/dev/ensure.sh fuzz
	@fuzz/run.sh $(SECONDS) $(TARGETS)

build: ## both programs, unoptimised
	@packaging/dev/ensure.sh build
	@cargo build --locked --bins

fmt: ## format the code
	@cargo fmt

clippy: ## lints, warnings are errors
	@cargo clippy --locked --all-targets -- -D warnings

bless: ## rewrite the golden files from the code; look at the diff before you commit it
	@SCEAU_BLESS=1 cargo test --locked --quiet

clean: ## remove what the targets made
	@cargo clean
	@rm -rf out .judges
