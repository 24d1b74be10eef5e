# make run: trains, evaluates and shows the mini system.   make test: all tests.
# Both make the virtual environment .venv first; PYTHON names the interpreter for it.
PYTHON ?= python3
BIN := .venv/bin
OUTPUT ?= results/sesame_mini/1234
# Threads that spin while they wait take the core that the PESQ worker needs.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: run test lint clean

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -r requirements.txt -e ".[demo,dev,eval,onnx,plot,rooms]"
	touch $@

run: .venv/installed
	rm -rf $(OUTPUT)
	$(BIN)/python train.py hparams/sesame_mini.yaml --output_folder $(OUTPUT)
	$(BIN)/python -m sesame.inference.cli showcase $(OUTPUT) --data data/minibank

test: .venv/installed
	$(BIN)/python -m pytest

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pydoclint sesame

clean:
	rm -rf .venv results
