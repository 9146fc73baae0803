"""The same answer every time: the native engine's numbers are a function of the text alone, bit for bit."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import native_helpers as tiny
import numpy as np
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from same_helpers import ALL, SCHEDULES, TEXTS, OneByOne, digest, hold, same

from capot.engines.native import kernels, open_native, simd
from capot.engines.native.plans import DEFAULT, KernelPlan
from capot.engines.protocol import MAX_CHUNK, Feed
from capot.sources.checkpoint import Checkpoint

DTYPES = ("float32", "bfloat16", "float16")
# Four lanes and no instruction of x86's own, as on ARM; the conversion of float16 and the fused sum are there too.
GENERIC = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "+f16c,+fma"}


@pytest.fixture(scope="session")
def alone(tmp_path_factory):
    """Each family in each stored type, with its texts one token at a time; made at first need and kept."""
    made = {}

    def get(family, dtype):
        if (family, dtype) not in made:
            folder = tiny.make(tmp_path_factory.mktemp(family), family, dtype=dtype)
            made[family, dtype] = OneByOne(open_native(Checkpoint.open(folder)))
        return made[family, dtype]

    return get


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_any_schedule_gives_the_numbers_of_one_token_at_a_time(alone, family, dtype):
    one = alone(family, dtype)
    compared = []

    @settings(max_examples=5, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(SCHEDULES)
    def run(schedule):
        compared.append(hold(one.engine, schedule, alone=one))

    run()
    assert sum(compared) > 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_prompt_at_once_gives_the_numbers_of_one_token_at_a_time(alone, dtype):
    one = alone("qwen3", dtype)
    ids = TEXTS[0] + TEXTS[1]
    sequence = one.engine.open_sequence()
    chunks = [ids[at : at + MAX_CHUNK] for at in range(0, len(ids), MAX_CHUNK)]
    found = [one.engine.step([Feed(sequence, chunk, ALL)])[0].logits for chunk in chunks]
    same(np.concatenate(found), one.logits(ids))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("depth", [7, 100, 2048, 4196])
def test_a_row_of_a_product_is_the_same_whatever_is_beside_it(dtype, depth):
    random = np.random.default_rng(depth)
    wide = random.standard_normal((71, depth), np.float32)
    kept = {"float32": wide, "bfloat16": (wide.view(np.uint32) >> 16).astype(np.uint16)}
    weights = kept.get(dtype, wide.astype(np.float16).view(np.int16))
    weights.flags.writeable = False
    x = random.standard_normal((40, depth), np.float32)
    if dtype == "bfloat16":
        x = (x.view(np.uint32) >> 16).astype(np.uint16)
    begun = random.standard_normal((40, 71), np.float32)
    expected = begun.copy()
    for row in range(40):
        kernels.add_matmul(weights, x[row : row + 1], expected[row : row + 1], *DEFAULT)
    for columns in (2, 3, 5, 6, 8, 11, 16, 40):
        y = begun[:columns].copy()
        kernels.add_matmul(weights, x[:columns], y, *DEFAULT)
        same(y, expected[:columns])
    few = begun[:, :5].copy()  # a row of the weights, whatever rows are beside it
    kernels.add_matmul(weights[:5], x, few, *DEFAULT)
    same(few, expected[:, :5])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 2, 8, 9])
@pytest.mark.parametrize("plan", [DEFAULT, KernelPlan(4, 256, 0), KernelPlan(2, 1024, 2)])
def test_matrices_multiplied_together_give_the_numbers_of_each_alone(dtype, columns, plan):
    random = np.random.default_rng(columns)
    wide = [random.standard_normal((rows, 2148), np.float32) for rows in (71, 1, 200)]
    kept = {"float32": lambda w: w, "bfloat16": lambda w: (w.view(np.uint32) >> 16).astype(np.uint16)}
    stored = kept.get(dtype, lambda w: w.astype(np.float16).view(np.int16))
    weights = [stored(each) for each in wide]
    x = random.standard_normal((columns, 2148), np.float32)
    if dtype == "bfloat16":
        x = stored(x)
    y = random.standard_normal(columns * (71 + 1 + 200), np.float32)
    matrices = kernels.Matrices(*weights)
    parts = matrices.split(y, columns)
    assert [part.shape for part in parts] == [(columns, len(each)) for each in weights]
    expected = [part.copy() for part in parts]
    for one, begun in zip(weights, expected, strict=True):
        kernels.add_matmul(one, x, begun, *DEFAULT)
    kernels.add_products(matrices, x, y, plan)
    for part, alone in zip(parts, expected, strict=True):  # views of y
        same(part, alone)


@pytest.mark.parametrize("threads", [pytest.param("1", marks=pytest.mark.soak), "2"])
def test_another_process_and_kernels_compiled_anew_change_no_bit(alone, tmp_path, threads):
    one = alone("mistral", "bfloat16")
    program = (
        "import sys; from same_helpers import digest; from capot.engines.native import open_native;"
        "from capot.sources.checkpoint import Checkpoint; print(digest(open_native(Checkpoint.open(sys.argv[1]))))"
    )
    lost = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_NUM_THREADS": threads, "PYTHONPATH": f"{ROOT}/src:{ROOT}/tests"}
    command = [sys.executable, "-c", program, str(one.engine.checkpoint.path)]
    found = subprocess.run(command, env=os.environ | lost, capture_output=True, text=True, check=True)
    assert found.stdout.split()[-1] == digest(one.engine)


@pytest.mark.skipif("NUMBA_CPU_NAME" in os.environ, reason="these are the generic kernels")
@pytest.mark.parametrize(
    "chosen",
    [
        "generic or schedule and mistral-bfloat16",
        pytest.param(
            "generic or schedule and (llama-float32 or mistral-bfloat16 or qwen3-float16) or at_once or beside_it",
            marks=pytest.mark.soak,
        ),
    ],
    ids=["one family", "several"],
)
def test_kernels_without_instructions_of_x86_keep_the_promise_too(chosen):
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__, "-k", chosen]
    done = subprocess.run(command, env=os.environ | GENERIC, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout[-3000:]


@pytest.mark.skipif("NUMBA_CPU_NAME" not in os.environ, reason="these are this processor's own kernels")
def test_generic_kernels_are_generic_at_once():
    assert (simd.LANES, simd.BF16_PAIRS, simd.HAS_FMA) == (4, False, True)
