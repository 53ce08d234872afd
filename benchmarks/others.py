"""The same work in the libraries that one would take otherwise: nnsight and TransformerLens.

Both are used as their documentation shows it: states of all layers are kept to count, and one pass is made for each
condition and seed.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp

import torch
from straightforward import counts_of
from torch import Tensor, nn

LETTERS = {"query": "q", "key": "k", "value": "v"}


def loss(logits: Tensor, ids: Tensor) -> float:
    """Nats per predicted token of one text."""
    return float(nn.functional.cross_entropy(logits[0, :-1].float(), ids[0, 1:]))


class Other:
    """One of them: `count` gives massive channels {name: [layer]}, `loss` a loss with channels zeroed."""

    def count(self, ids: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError

    def loss(self, ids: Tensor, zeroed: Mapping[str, Tensor]) -> float:
        raise NotImplementedError

    @torch.no_grad()
    def disrupt(self, ids: Tensor, massive: Mapping[str, Tensor], random: Mapping[str, Tensor]) -> Tensor:
        """Losses of one text [seed, condition], as `straightforward.disrupt` gives them."""
        drawn = [{name: masks[seed] for name, masks in random.items()} for seed in range(len(random["query"]))]
        return torch.tensor([[self.loss(ids, zeroed) for zeroed in ({}, massive, of_seed)] for of_seed in drawn])


class InNnsight(Other):
    """nnsight: interventions are written into a trace of the model."""

    def __init__(self, model: nn.Module):
        from nnsight import NNsight

        self.model = NNsight(model)

    @torch.no_grad()
    def count(self, ids: Tensor) -> dict[str, Tensor]:
        import nnsight

        with self.model.trace(input_ids=ids, use_cache=False):
            states = nnsight.save({name: [] for name in LETTERS})
            for layer in self.model.model.layers:
                for name, letter in LETTERS.items():
                    states[name].append(getattr(layer.self_attn, f"{letter}_proj").output)
        return counts_of(states)

    @torch.no_grad()
    def loss(self, ids: Tensor, zeroed: Mapping[str, Tensor]) -> float:
        with self.model.trace(input_ids=ids, use_cache=False):
            for number, layer in enumerate(self.model.model.layers):
                for name, masks in zeroed.items():
                    projection = getattr(layer.self_attn, f"{LETTERS[name]}_proj")
                    projection.output[..., masks[number].flatten()] = 0
            logits = self.model.output.logits.save()
        return loss(logits, ids)


class InTransformerLens(Other):
    """TransformerLens: hooks by name on a bridge to the same model."""

    def __init__(self, model: nn.Module):
        from transformer_lens.model_bridge import TransformerBridge

        folder = Path(mkdtemp())
        model.save_pretrained(folder)
        save_tokenizer(folder)
        self.model = TransformerBridge.boot_transformers(str(folder), hf_model=model, device="cpu")
        self.layers = len(model.model.layers)

    @torch.no_grad()
    def count(self, ids: Tensor) -> dict[str, Tensor]:
        wanted = {self._hook(layer, letter) for layer in range(self.layers) for letter in LETTERS.values()}
        _, cache = self.model.run_with_cache(ids, names_filter=lambda name: name in wanted)
        states = {
            name: [cache[self._hook(layer, letter)].flatten(2) for layer in range(self.layers)]
            for name, letter in LETTERS.items()
        }
        return counts_of(states)

    @torch.no_grad()
    def loss(self, ids: Tensor, zeroed: Mapping[str, Tensor]) -> float:
        hooks = [
            (self._hook(layer, LETTERS[name]), lambda states, hook, mask=masks[layer]: states.masked_fill(mask, 0))
            for name, masks in zeroed.items()
            for layer in range(self.layers)
        ]
        return loss(self.model.run_with_hooks(ids, fwd_hooks=hooks), ids)

    @staticmethod
    def _hook(layer: int, letter: str) -> str:
        return f"blocks.{layer}.attn.hook_{letter}"


def save_tokenizer(folder: Path) -> None:
    """A tokenizer, because a bridge asks for one; the texts are random tokens."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = WordLevel({"<s>": 0, "</s>": 1, "<unk>": 2}, unk_token="<unk>")
    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(words), bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )
    made.save_pretrained(folder)


OTHERS = {"nnsight": InNnsight, "transformer_lens": InTransformerLens}
