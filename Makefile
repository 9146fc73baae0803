# Each command does all its own set-up; on Windows, call tools/dev.py directly (see README).
PYTHON ?= python3

.PHONY: lab test check bench lock clean
lab test check bench lock clean:
	@$(PYTHON) tools/dev.py $@ $(ARGS)
