PYTHON ?= python3
BIN := .venv/bin

.PHONY: help install setup sandbox test cover explore check format docs release bench parts chaos image smoke images lock
help: ## what each verb does
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/ready: requirements.lock pyproject.toml | $(BIN)/pip
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@ .venv/installed

# What runs, and the tool that builds the package; not the tools of development.
.venv/installed: requirements.lock pyproject.toml deploy/runtime_lock.py | $(BIN)/pip
	$(BIN)/python deploy/runtime_lock.py hatchling > .venv/runtime.lock
	$(PIP) --require-hashes -r .venv/runtime.lock
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

install: .venv/installed ## the program alone: .venv/bin/jira-relay

setup: .venv/ready ## the program and the tools of development

sandbox: install ## the whole relay on this machine against simulated Jira and Azure
	$(BIN)/jira-relay sandbox

test: setup ## every test, on a real embedded Kafka
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

cover: setup ## every test with branch coverage: a floor for the whole, pure parts whole
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder --cov --cov-report=json:coverage.json --cov-report=term:skip-covered
	$(BIN)/python -m tests.cover coverage.json

explore: setup ## property tests with examples that no run before has drawn
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder -m hypothesis --hypothesis-profile explore

chaos: setup ## faults of every kind against a whole relay, then a verdict (SEED= MINUTES= PRODUCERS= CONSUMERS=)
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(PRODUCERS),--producers $(PRODUCERS)) $(if $(CONSUMERS),--consumers $(CONSUMERS))

check: setup ## format, lint, types, import rules, spelling, words
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m tests.docs.words

format: setup ## rewrite in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup ## the documentation site in dist/docs/site, offline, with every link looked up
	$(BIN)/python -m tests.docs.site

release: setup ## wheel, source archive, chart, site, SBOM, notes and checksums in dist/release, offline
	$(BIN)/python deploy/release.py

bench: setup ## the consumer beside hand-written Python, Go and Benthos, on one core and on two (BENCH="--runs 1")
	$(BIN)/python benchmarks/peers $(BENCH)

parts: setup ## CPU time, memory and lateness of each part under load; takes half an hour
	$(BIN)/python benchmarks/columns.py
	$(BIN)/python benchmarks/formats.py
	$(BIN)/python benchmarks/consumer.py
	$(BIN)/python benchmarks/bounds.py
	$(BIN)/python benchmarks/organizations.py
	$(BIN)/python benchmarks/sealing.py
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/backfill.py
	$(BIN)/python benchmarks/producer.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/replay.py
	$(BIN)/python benchmarks/silence.py

IMAGE ?= jira-audit-relay
PLATFORMS ?= linux/amd64,linux/arm64
OUTPUT ?= type=oci,dest=dist/image.tar,rewrite-timestamp=true
# A source archive has no history: its image says so, and has hatchling's own time.
IMAGE_OPTIONS = --file deploy/Dockerfile --tag $(IMAGE) \
	--build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
	--build-arg REVISION="$$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
	--build-arg SOURCE_DATE_EPOCH="$$(git log -1 --format=%ct 2>/dev/null || echo 1580601600)"

image: ## the image jira-audit-relay for this machine (docker; IMAGE=)
	docker build $(IMAGE_OPTIONS) .

smoke: image ## the image built and started, read-only and without rights (docker)
	docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges $(IMAGE) --version
	docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges $(IMAGE) config check
	test "$$(docker image inspect --format '{{.Config.User}}' $(IMAGE))" = 10001:10001

images: ## the same for amd64 and arm64, with SBOM and provenance, in dist/image.tar (docker buildx; IMAGE= PLATFORMS= OUTPUT=)
	mkdir -p dist
	docker buildx build $(IMAGE_OPTIONS) --platform $(PLATFORMS) --provenance mode=max --sbom true --output $(OUTPUT) .

lock: ## refresh requirements.lock for all supported Pythons
	uv pip compile pyproject.toml --universal --python-version 3.11 --extra embedded --extra object-store --group dev --generate-hashes --no-emit-index-url --no-header --output-file requirements.lock
