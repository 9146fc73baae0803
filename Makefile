# Each command does all its own set-up; on Windows, call tools/dev.py directly (see README).
PYTHON ?= python3

.PHONY: lab test test-newest check bench lock clean
lab test test-newest check bench lock clean:
	@$(PYTHON) tools/dev.py $@ $(ARGS)
