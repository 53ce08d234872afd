from types import SimpleNamespace

import pytest
import torch

from fixtures.models.tiny import tiny_llama
from lib.measuring.scoring import (
    BEGINNING,
    FEW,
    POSITIONS_AT_ONCE,
    gain_of_bos,
    in_batches,
    nll_per_text,
    score,
    score_after_prompt,
    score_conditions,
)
from lib.measuring.tests.test_prompts import attention
from lib.probing.probe import geometry

pytestmark = pytest.mark.cpu

OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."),
    MemoryError(),
]


def failing_above(model, rows, error):
    """Let every pass over more than `rows` rows fail; returns the sizes of all passes, failed or not."""
    sizes = []

    def check(module, given, options):
        sizes.append(len(options["input_ids"]))
        if sizes[-1] > rows:
            raise error

    model.register_forward_pre_hook(check, with_kwargs=True)
    return sizes


def test_the_score_is_the_loss_that_transformers_computes(tiny, ids):
    expected = [tiny(row[None], labels=row[None]).loss.item() for row in ids]
    torch.testing.assert_close(score(tiny, ids), torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=0)


@pytest.mark.parametrize("length", [2, POSITIONS_AT_ONCE, POSITIONS_AT_ONCE + 1, POSITIONS_AT_ONCE + 2, 300])
def test_a_text_of_any_length_is_scored_to_its_end(length):
    logits = torch.randn(2, length, 9, generator=torch.Generator().manual_seed(0))
    ids = torch.randint(9, (2, length), generator=torch.Generator().manual_seed(1))
    expected = [torch.nn.functional.cross_entropy(x[:-1].double(), i[1:]) for x, i in zip(logits, ids, strict=True)]
    torch.testing.assert_close(nll_per_text(logits, ids), torch.stack(expected), rtol=1e-6, atol=0)


def test_logits_that_know_nothing_lose_the_logarithm_of_the_vocabulary():
    loss = nll_per_text(torch.zeros(1, 5, 7), torch.zeros(1, 5, dtype=torch.long))
    torch.testing.assert_close(loss, torch.tensor([7.0], dtype=torch.float64).log(), rtol=1e-6, atol=0)


def test_the_loss_over_a_large_vocabulary_is_that_of_float64():
    logits = 3 * torch.randn(1, 33, 2**18, generator=torch.Generator().manual_seed(0))
    ids = torch.randint(2**18, (1, 33), generator=torch.Generator().manual_seed(1))
    expected = torch.nn.functional.cross_entropy(logits[0, :-1].double(), ids[0, 1:])
    torch.testing.assert_close(nll_per_text(logits, ids)[0], expected, rtol=0, atol=5e-7)


def test_half_precision_logits_are_widened_before_they_are_scored():
    logits = torch.randn(1, 40, 99, generator=torch.Generator().manual_seed(0)).bfloat16()
    ids = torch.arange(40)[None]
    assert torch.equal(nll_per_text(logits, ids), nll_per_text(logits.float(), ids))


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_refused(broken):
    logits = torch.zeros(2, 5, 7)
    logits[1, 3, 2] = broken
    with pytest.raises(ValueError, match="loss is not finite"):
        nll_per_text(logits, torch.zeros(2, 5, dtype=torch.long))


@pytest.mark.parametrize("tokens", [0, 1])
def test_a_text_without_a_token_to_predict_is_refused(tokens):
    with pytest.raises(ValueError, match="at least two tokens"):
        nll_per_text(torch.zeros(1, tokens, 7), torch.zeros(1, tokens, dtype=torch.long))


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 7])
def test_the_number_of_rows_at_a_time_changes_no_result(planted, ids, tables, rows):
    expected, _ = score_conditions(planted, ids[0], tables, 5)
    found, used = score_conditions(planted, ids[0], tables, rows)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert (found.shape, used) == ((5,), rows)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_the_baseline_is_the_plain_score(planted, ids, tables, rows):
    losses, _ = score_conditions(planted, ids[0], tables, rows)
    assert losses[0] == score(planted, ids[:1].expand(rows, -1))[0]
    assert losses[1:3].sub(losses[0]).abs().min() > 1e-6


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["GPU", "CPU", "Python"])
def test_running_out_of_memory_halves_the_rows_and_changes_no_result(planted, ids, tables, error):
    expected, _ = score_conditions(planted, ids[0], tables, 5)
    sizes = failing_above(planted, 2, error)
    found, rows = score_conditions(planted, ids[0], tables, 5)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert (sizes, rows) == ([5, 3, 2, 2, 1], 2)


def test_batches_are_about_as_large():
    sizes = []
    in_batches(lambda start, stop: sizes.append(stop - start) or torch.arange(start, stop), 9, 8)
    in_batches(lambda start, stop: sizes.append(stop - start) or torch.arange(start, stop), 10, 4)
    assert sizes == [5, 4, 4, 3, 3]


def test_memory_that_runs_out_late_loses_and_repeats_no_row():
    def run(start, stop):
        if start >= 3 and stop - start > 1:
            raise OUT_OF_MEMORY[0]
        return torch.arange(start, stop)

    assert in_batches(run, 8, 3)[0].tolist() == list(range(8))


def test_running_out_of_memory_with_one_row_is_raised(planted, ids, tables):
    geometry(planted)  # looks at the model in passes of its own
    sizes = failing_above(planted, 0, OUT_OF_MEMORY[0])
    with pytest.raises(torch.OutOfMemoryError):
        score_conditions(planted, ids[0], tables, 2)
    assert sizes == [2, 1]


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), KeyError("x")])
def test_another_error_is_not_taken_for_lack_of_memory(planted, ids, tables, error):
    geometry(planted)
    sizes = failing_above(planted, 0, error)
    with pytest.raises(type(error)):
        score_conditions(planted, ids[0], tables, 5)
    assert sizes == [5]


def test_scoring_needs_no_memory_for_gradients(ids):
    model = tiny_llama().requires_grad_(True)
    assert not score(model, ids).requires_grad


@pytest.mark.parametrize("prompt", [1, 12, 23])
def test_a_text_read_in_two_passes_is_scored_like_its_end_in_one(tiny, ids, prompt):
    logits = tiny(ids).logits[:, prompt - 1 : -1].log_softmax(-1)
    expected = -logits.gather(2, ids[:, prompt:, None])[..., 0].mean(1)
    torch.testing.assert_close(score_after_prompt(tiny, ids, prompt).float(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("prompt", [0, 24, 30])
def test_a_text_that_is_all_prompt_or_has_none_is_refused(ids, prompt):
    with pytest.raises(ValueError, match=rf"^a text of 24 tokens cannot be split into a prompt of {prompt} and"):
        score_after_prompt(tiny_llama(), ids, prompt)


def test_a_model_that_keeps_no_cache_is_refused(ids):
    model = tiny_llama()
    model.register_forward_hook(lambda module, given, output: SimpleNamespace(past_key_values=None))
    with pytest.raises(ValueError, match=r"^LlamaForCausalLM keeps no KV cache, so nothing can be read after"):
        score_after_prompt(model, ids, 12)


@pytest.mark.parametrize("site", ["projection", "attention"])
def test_conditions_are_edited_where_they_are_said_to_be(tiny, ids, site):
    masks = {"query": torch.zeros(2, 3, 4, 16, dtype=torch.bool)}
    masks["query"][1, :, :, 3] = True
    found, _ = score_conditions(tiny, ids[0], masks, 2, site=site)

    def edit(module, query, key):
        query[:, :, :, 3] = 0

    with attention(edit):
        at_attention = score(tiny, ids[:1])
    assert torch.allclose(found[1], at_attention[0], rtol=0, atol=1e-6) == (site == "attention")
    assert found[0] == score(tiny, ids[:1].expand(2, -1))[0]


class Needy(torch.nn.Module):
    """Predicts the next number, and by how much depends on whether the first token is 0."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(1, 1)

    def get_input_embeddings(self):
        return self.embedding

    def forward(self, input_ids, use_cache):
        sure = torch.where(input_ids[:, :1] == 0, 5.0, 2.0)
        right = torch.nn.functional.one_hot((input_ids + 1) % 100, 100)
        return SimpleNamespace(logits=sure[..., None] * right)


@pytest.mark.parametrize("tokens", [3, 40, 90])
def test_what_bos_is_worth_is_the_loss_of_the_same_tokens_with_and_without_it(tokens):
    ids = torch.arange(1, tokens + 1)[None] + torch.arange(6)[:, None]
    unsure, sure = (torch.tensor([right, *[0.0] * 99]).double().log_softmax(0)[0] for right in (2.0, 5.0))
    assert gain_of_bos(Needy(), ids, 0) == pytest.approx(float(sure - unsure), abs=1e-6)


@pytest.mark.parametrize(("texts", "tokens", "read"), [(1, 9, (1, 9)), (6, 90, (FEW, BEGINNING))])
def test_the_beginnings_of_a_few_texts_tell_what_bos_is_worth_and_of_one_if_there_is_one(texts, tokens, read):
    model = Needy()
    sizes = []
    model.register_forward_pre_hook(
        lambda module, given, how: sizes.append(tuple(how["input_ids"].shape)), with_kwargs=True
    )
    assert gain_of_bos(model, torch.arange(1, tokens + 1).expand(texts, -1), 0) > 0
    assert sizes == [read, (read[0], read[1] - 1)]


def test_texts_of_two_tokens_do_not_tell_what_bos_is_worth():
    assert gain_of_bos(Needy(), torch.tensor([[1, 2]]), 0) is None
