"""What only a GPU shows: the counts and losses of a processor, memory that does not grow, weights of 4 and 8 bits."""

import gc

import pytest
import torch

from fixtures.models.tiny import as_arm, plant, save, tiny_llama
from lib.checkpoints import ModelArguments
from lib.definitions import EDITED, NAMES, massive_mask
from lib.measuring import Arms, measure_norms
from lib.measuring.disruption import measure_disruption
from lib.measuring.interventions import chosen_mask
from lib.measuring.norms import norms_and_loss
from lib.measuring.scoring import score, score_conditions
from lib.probing import geometry
from lib.texts.reading import Text

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; -m gpu is refused without one"),
]

IDS = torch.randint(3, 259, (4, 48), generator=torch.Generator().manual_seed(5))
TEXTS = [Text(f"t{i}", "ab"[i % 2], "count", str(i)) for i in range(4)]
PLACES = [("query", 1, 0, 3), ("query", 2, 3, 5), ("key", 2, 1, 5)]
FITS = {torch.float32: 1e-4, torch.bfloat16: 0.05, torch.float16: 0.01}
"""How far norms and losses may differ between a GPU and a processor, as shares of themselves."""


def planted(**config):
    model = tiny_llama(heads=4, kv_heads=2, **config)
    for place in PLACES:
        plant(model, *place)
    return model


def measured(device, dtype, **how):
    model = planted().to(device, dtype)
    return norms_and_loss(model, IDS.to(device), geometry(model), **how)


@pytest.mark.parametrize("dtype", FITS)
@pytest.mark.parametrize("site", ["projection", "attention"])
def test_counts_and_losses_are_those_of_a_processor(dtype, site):
    here, there = measured("cpu", dtype, site=site), measured("cuda", dtype, site=site)
    torch.testing.assert_close(there.loss, here.loss, rtol=FITS[dtype], atol=0)
    for name in NAMES:
        torch.testing.assert_close(there.norms[name], here.norms[name], rtol=FITS[dtype], atol=1e-3)
        assert torch.equal(*(massive_mask(read.norms[name]) for read in (here, there)))
    assert massive_mask(here.norms["query"]).any()


@pytest.mark.parametrize("dtype", FITS)
def test_experiment_2_costs_what_it_costs_on_a_processor(dtype):
    found = {}
    for device in ("cpu", "cuda"):
        arm = as_arm(planted().to(device, dtype))
        norms = measured("cpu", torch.float32).norms
        chosen = {name: chosen_mask(norms[name]) for name in EDITED}
        found[device] = torch.from_numpy(measure_disruption(arm, IDS, TEXTS, chosen, controls=2, seed=0)["nll"].values)
    torch.testing.assert_close(found["cuda"], found["cpu"], rtol=FITS[dtype], atol=0)
    assert (found["cpu"][:, 1] - found["cpu"][:, 0]).abs().min() > 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_chunks_give_the_norms_of_a_plain_pass(dtype):
    plain, read = measured("cuda", dtype), measured("cuda", dtype, chunk=13)
    torch.testing.assert_close(read.loss, plain.loss, rtol=FITS[dtype], atol=0)
    for name in NAMES:
        torch.testing.assert_close(read.norms[name], plain.norms[name], rtol=FITS[dtype], atol=1e-3)


@pytest.mark.parametrize("how", [{"load_in_4bit": True}, {"load_in_8bit": True}], ids=["nf4", "int8"])
def test_quantized_weights_are_measured_and_keep_their_planted_channels(tmp_path, how):
    pytest.importorskip("bitsandbytes")
    folder = save(planted(), tmp_path / "model")
    arm = Arms({"rope": ModelArguments(pretrained=str(folder), **how)}, "cuda").get("rope")
    record = measure_norms(arm, IDS, TEXTS)
    for name, layer, head, dim in PLACES:
        assert massive_mask(torch.from_numpy(record[f"{name}_norm"].values))[:, layer, head, dim].all()
        assert record[f"{name}_row_norm"].values[layer, head, dim] > 5 * record[f"{name}_row_norm"].values[layer].mean()


@pytest.mark.parametrize("kernel", ["sdpa", "flash_attention_2"])
def test_a_kernel_of_attention_gives_the_counts_of_the_plain_one(kernel):
    if kernel == "flash_attention_2":
        pytest.importorskip("flash_attn")
    found = {}
    for name in ("eager", kernel):
        model = planted(attn_implementation=name).to("cuda", torch.bfloat16)
        found[name] = norms_and_loss(model, IDS.cuda(), geometry(model), "attention")
    assert torch.equal(*(massive_mask(read.norms["query"]) for read in found.values()))
    torch.testing.assert_close(found[kernel].loss, found["eager"].loss, rtol=0.05, atol=0)


def peak(call):
    """Bytes of the GPU that a call takes beyond what is held already."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    return torch.cuda.max_memory_allocated() - before


def test_counting_adds_memory_that_does_not_grow_with_the_text():
    model = planted(max_position_embeddings=8192).to("cuda", torch.bfloat16)
    sizes, added = geometry(model), {}
    for tokens in (512, 4096):
        ids = torch.randint(3, 259, (1, tokens), generator=torch.Generator().manual_seed(6)).cuda()
        score(model, ids)
        added[tokens] = peak(lambda ids=ids: norms_and_loss(model, ids, sizes)) - peak(
            lambda ids=ids: score(model, ids)
        )
    assert added[4096] - added[512] < 2**20


def test_rows_are_halved_when_the_memory_is_full_and_no_loss_changes():
    model = planted(vocab_size=50_000).to("cuda")
    masks = {name: torch.zeros(64, 3, heads, 16, dtype=torch.bool) for name, heads in (("query", 4), ("key", 2))}
    masks["query"][1::2, 1, 0, 3] = True
    ids = IDS[0].cuda()
    whole, rows = score_conditions(model, ids, masks, 64)
    assert rows == 64
    _, total = torch.cuda.mem_get_info()
    few = peak(lambda: score_conditions(model, ids, masks, 8))
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2 * few) / total)
    try:
        found, rows = score_conditions(model, ids, masks, 64)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert rows < 64
    torch.testing.assert_close(found, whole, rtol=1e-5, atol=0)


def test_an_arm_is_freed_before_the_next_one_is_loaded(tmp_path):
    folders = {name: str(save(planted(seed=i), tmp_path / name)) for i, name in enumerate(("rope", "drope"))}
    arms = Arms({name: ModelArguments(pretrained=folder) for name, folder in folders.items()}, "cuda")
    gc.collect()
    before = torch.cuda.memory_allocated()
    arms.get("rope")
    held = torch.cuda.memory_allocated() - before
    arms.get("drope")
    assert torch.cuda.memory_allocated() - before <= held * 1.01
    arms.free()
    assert torch.cuda.memory_allocated() <= before
