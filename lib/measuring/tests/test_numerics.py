import pytest
import torch

from lib.checkpoints.arguments import parse
from lib.measuring import numerics as module
from lib.measuring.numerics import numerics

pytestmark = pytest.mark.cpu


def test_the_libraries_and_the_kernels_that_compute_an_arm_are_named():
    found = numerics(parse("org/model"), "cpu")
    assert found.startswith(f"torch {torch.__version__}, transformers ")
    assert found.endswith(torch.backends.cpu.get_cpu_capability())
    for name in ("bitsandbytes", "gguf", "peft"):
        assert name not in found


@pytest.mark.parametrize(
    ("text", "library"), [("m,load_in_4bit=True", "bitsandbytes"), ("m.gguf", "gguf"), ("m,peft=adapter", "peft")]
)
def test_a_library_is_named_where_it_computes(text, library):
    assert f", {library} " in numerics(parse(text), "cpu")


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_another_version_is_another_numerics(monkeypatch, library):
    plain, before = module.versions(), numerics(parse("m"), "cpu")
    monkeypatch.setattr(module, "versions", lambda: {**plain, library: "0.1"})
    assert numerics(parse("m"), "cpu") != before
