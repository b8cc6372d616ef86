PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/installed
DEMO := omnisyn-demo

.PHONY: demo test lint bench clean

demo: $(INSTALLED)  ## the main job with the shipped weights, on a simulated patient
	$(BIN)/omnisyn simulate example --out $(DEMO)/patient --overwrite
	$(BIN)/omnisyn synthesize --src $(DEMO)/patient/T1.nii.gz --src $(DEMO)/patient/T1c.nii.gz \
		--target T2 --truth T2=$(DEMO)/patient/truth/T2.nii.gz \
		--output $(DEMO)/synthesized --preview --overwrite
	$(BIN)/omnisyn evaluate --site sim-external2 --out $(DEMO)/report --overwrite

test: $(INSTALLED)  ## the style checks and the whole test suite
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports
	$(BIN)/pytest

bench: $(INSTALLED)  ## the table of speeds and operations
	$(BIN)/python -m benchmarks

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:  ## everything that the targets above made
	rm -rf .venv $(DEMO)
