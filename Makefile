# What a developer, an operator's package and CI do here. It needs python3 with venv, git and make; the rest it installs
# into .venv, from the lock. ARGS goes to the program that a target runs: make demo ARGS='--seed 7'.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := $(wildcard ckptclient ckptd tests examples benchmarks)
TEST_PROCESSES ?= 2
DESTDIR ?=
PREFIX ?= /opt/ckptd
ARGS ?=

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv demo test lint types contracts ci crash faults sweep bench lock install-systemd clean

help:  ## show this list
	@echo "targets (ARGS='...' is passed on to demo, test, crash, faults, sweep and bench):"
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-24s%s\n", $$1, $$2 }'
	@echo "ok: make demo and make test are the two to begin with"

venv: $(READY)  ## make the virtual environment from the lock
	@echo "ok: the environment is in $(VENV)"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(READY): requirements.lock pyproject.toml | $(BIN)/python
	@echo "venv: installing what requirements.lock names into $(VENV) (half a minute the first time)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --only-binary=:all: --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-index --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)  ## kill workers and the daemon at random, and lose nothing
	$(BIN)/python -m examples.demo $(ARGS)

test: $(READY)  ## all tests, with coverage
	@echo "test: pytest in $(TEST_PROCESSES) processes"
	$(BIN)/python -m pytest --numprocesses=$(TEST_PROCESSES) --dist=loadfile --cov --cov-report=term $(ARGS)
	@echo "ok: tests pass"

lint: $(READY)  ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@echo "ok: lint is clean"

types: $(READY)  ## mypy --strict
	$(BIN)/mypy $(SOURCES)
	@echo "ok: types hold"

contracts: $(READY)  ## the design's import rules
	$(BIN)/lint-imports --no-logo
	@echo "ok: import contracts are kept"

ci:  ## what CI runs: lint, types, contracts, tests (as root it installs the tools that tests need)
	@bash .ci/run
	@echo "ok: all checks pass"

crash: $(READY)  ## random work with SIGKILL at random moments: nothing acknowledged may be lost
	$(BIN)/python -m tests.crash $(ARGS)
	@echo "ok: nothing acknowledged was lost"

faults: $(READY)  ## calls that fail, power that goes, at many points: each tier, and daemons that are broken on purpose
	$(BIN)/python -m tests.faults $(ARGS)
	@echo "ok: nothing acknowledged was lost, and what is broken was caught"

sweep: $(READY)  ## the fault sweep at every k: about an hour
	$(BIN)/python -m tests.faults --tier sweep --size 1 --whole $(ARGS)
	@echo "ok: nothing acknowledged was lost"

bench: $(READY)  ## measure against the peers, in one run
	$(BIN)/python -m benchmarks $(ARGS)
	@echo "ok: measured"

lock: | $(BIN)/python  ## renew requirements.lock to the newest versions
	@$(BIN)/python -m pip install -qq --disable-pip-version-check uv
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --extra dev --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' --output-file requirements.lock pyproject.toml
	@! grep -n '://' requirements.lock || { echo "the lock must name no address"; exit 1; }
	@echo "ok: requirements.lock is renewed"

install-systemd:  ## put units, sysusers and tmpfiles under DESTDIR, for the environment in PREFIX (docs/OPERATIONS.md)
	install -D -m 0644 -t $(DESTDIR)/usr/lib/systemd/system systemd/ckptd.socket
	sed 's|^ExecStart=/opt/ckptd/|ExecStart=$(PREFIX)/|' systemd/ckptd.service | \
	    install -D -m 0644 /dev/stdin $(DESTDIR)/usr/lib/systemd/system/ckptd.service
	install -D -m 0644 systemd/ckptd.sysusers.conf $(DESTDIR)/usr/lib/sysusers.d/ckptd.conf
	install -D -m 0644 systemd/ckptd.tmpfiles.conf $(DESTDIR)/usr/lib/tmpfiles.d/ckptd.conf
	@echo "ok: installed under $(or $(DESTDIR),/); next: systemd-sysusers, systemd-tmpfiles --create, systemctl daemon-reload, systemctl enable --now ckptd.socket"

clean:  ## remove what the targets made, the environment too
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.* build dist
	@find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +
	@echo "ok: clean"
