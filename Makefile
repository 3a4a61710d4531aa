# labgen. `make lab` and `make test` install what is missing; everything else follows from these two.

PROFILE ?= three-node-btrfs
BOX     ?= debian13
# Where tests with real machines keep their box cache between runs; nothing of the user's own labs is in it.
export LABGEN_TEST_HOME ?= /var/tmp/labgen-test

labgen := .venv/bin/labgen
python := .venv/bin/python
pytest := .venv/bin/pytest
shell_scripts = $(shell git ls-files --cached --others --exclude-standard | xargs grep -slE '^\#! ?/.*\b(ba)?sh$$')

.DEFAULT_GOAL := help
.PHONY: help install tools lab box test lint unit test-vm test-all bench pictures uninstall clean
.DELETE_ON_ERROR:

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

install:  ## Install Debian packages and .venv; labgen is then .venv/bin/labgen
	@scripts/host/packages
	@scripts/host/venv

tools: install  ## Also install what only the tests need: a browser, shells, load balancers, shellcheck
	@scripts/host/packages --tests

lab: install  ## Bring up a lab: box, three machines, Docker, Swarm (PROFILE=NAME for another)
	@scripts/host/daemons start
	scripts/host/with-libvirt $(labgen) create $(PROFILE)

box: install  ## Build the machines' disk image unless it exists (BOX=NAME for another)
	@scripts/host/box $(BOX)

test: lint unit test-vm  ## Run all tests, including those on real machines (about half an hour without KVM)

lint: tools  ## Check style, types and shell scripts
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	shellcheck -x $(shell_scripts)

unit: tools  ## Run the tests that need no machine
	$(pytest) tests/unit tests/browser -n auto --cov=labgen --cov-report=term:skip-covered --cov-fail-under=90

test-vm: install  ## Run the tests on real machines, in a separate network namespace
	@LABGEN_HOME=$(LABGEN_TEST_HOME) scripts/host/box debian13
	@LABGEN_HOME=$(LABGEN_TEST_HOME) scripts/host/image hello
	tests/vm/namespace $(pytest) tests/vm -m 'not slow'

test-all: lint unit  ## Run everything, including the slow tests on real machines
	@LABGEN_HOME=$(LABGEN_TEST_HOME) scripts/host/box debian13
	@LABGEN_HOME=$(LABGEN_TEST_HOME) scripts/host/box debian12
	@for image in hello mariadb nginx php; do LABGEN_HOME=$(LABGEN_TEST_HOME) scripts/host/image $$image || exit; done
	tests/vm/namespace $(pytest) tests/vm

bench: install  ## Measure boot and create, compared with an untrimmed box, a bare script and a Vagrantfile by hand
	@LABGEN_HOME=$(LABGEN_TEST_HOME) scripts/host/box debian13
	LABGEN_HOME=$(LABGEN_TEST_HOME) $(python) -m benchmarks.boot --build
	tests/vm/namespace $(python) -m benchmarks.boot
	tests/vm/namespace $(python) -m benchmarks.create

pictures: tools  ## Take the pictures in docs/ of the example report again
	$(python) -m tests.browser.pictures docs/pictures

uninstall:  ## Remove everything labgen has created on this host, after asking, and .venv (YES=1: without asking)
	@scripts/host/uninstall $(if $(YES),--yes)

clean:  ## Remove what this Makefile created in the checkout (labs and boxes are kept)
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage build dist
