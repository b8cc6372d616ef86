PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/installed
# Without the user's own settings: the demo is the same for everybody.
OMNISYN := env -u OMNISYN_DATA -u OMNISYN_WEIGHTS -u OMNISYN_DEVICE $(BIN)/omnisyn
DEMO := omnisyn-demo

.PHONY: demo test bench soak fuzz clean

demo: $(INSTALLED)  ## the main job with the shipped weights, on a simulated patient
	$(OMNISYN) simulate example --out $(DEMO)/patient --overwrite
	$(OMNISYN) synthesize --src $(DEMO)/patient/T1.nii.gz --src $(DEMO)/patient/T1c.nii.gz \
		--target T2 --truth T2=$(DEMO)/patient/truth/T2.nii.gz \
		--output $(DEMO)/synthesized --preview --overwrite
	$(OMNISYN) evaluate --site sim-external2 --out $(DEMO)/report --overwrite
	@echo
	@echo "picture: $(DEMO)/synthesized/desc-synth_T2w.png"
	@echo "volume:  $(DEMO)/synthesized/desc-synth_T2w.nii.gz"
	@echo "report:  $(DEMO)/report/report.html"

test: $(INSTALLED)  ## the style checks and the whole test suite
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports
	env OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist loadfile

bench: $(INSTALLED)  ## the table of speeds and operations
	$(BIN)/python -m benchmarks

soak: $(INSTALLED)  ## the killing tests, 1,000 kills of each kind (hours)
	OMNISYN_KILLS=1000 $(BIN)/pytest tests/kills

fuzz: $(INSTALLED)  ## damaged files at the four readers, five minutes each
	$(BIN)/python -m tests.fuzz.targets --minutes 5

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:  ## everything that the targets above made
	rm -rf .venv $(DEMO)
