# Each command does all its own set-up; on Windows, call tools/dev.py directly (see README).
PYTHON ?= python3

.PHONY: lab test test-newest test-sdist test-llamacpp test-vllm check bench soak lock clean
lab test test-newest test-sdist test-llamacpp test-vllm check bench soak lock clean:
	@$(PYTHON) tools/dev.py $@ $(ARGS)
