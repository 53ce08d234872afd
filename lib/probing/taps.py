"""Taps: modules whose outputs hold states, and how to read and write the states in these outputs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor, nn

from lib.definitions import NAMES, Name


@dataclass(frozen=True)
class Geometry:
    """Sizes of the states: layers, heads of query, heads of key and value, dims per head (those of value apart)."""

    layers: int
    heads: int
    kv_heads: int
    dim: int
    value_dim: int

    def shape(self, name: Name) -> tuple[int, int]:
        """[head, dim] of query, or [kv_head, dim] of key and value."""
        return (self.heads if name == "query" else self.kv_heads, self.value_dim if name == "value" else self.dim)


@dataclass(frozen=True)
class Tap:
    """A module whose output holds states: `read` returns them as [batch, pos, head, dim], `write` puts them back."""

    module: nn.Module
    read: Callable[[Tensor], Tensor]
    write: Callable[[Tensor, Tensor], Tensor]


def whole(module: nn.Module, shape: tuple[int, int]) -> Tap:
    """The whole output [batch, pos, head x dim] holds the states."""
    return Tap(module, lambda out: out.unflatten(-1, shape), lambda out, states: states.flatten(-2))


def part(module: nn.Module, index: Int[Tensor, "head dim"]) -> Tap:
    """The states are the features `index` of the output [batch, pos, feature]."""

    def write(out: Tensor, states: Tensor) -> Tensor:
        return out.index_copy(-1, index.flatten().to(out.device), states.flatten(-2))

    return Tap(module, lambda out: out[..., index.to(out.device)], write)


def headwise(module: nn.Module, *, heads_first: bool) -> Tap:
    """The output holds the states as [batch, pos, head, dim], or as [batch, head, pos, dim]."""
    if heads_first:
        return Tap(module, lambda out: out.transpose(1, 2), lambda out, states: states.transpose(1, 2))
    return Tap(module, lambda out: out, lambda out, states: states)


def concatenated(sizes: Geometry) -> dict[str, Tensor]:
    """Features of a fused projection that holds all of query, then all of key, then all of value (GPT-2, Phi-3)."""
    features = torch.arange(sum(heads * dim for heads, dim in map(sizes.shape, NAMES)))
    parts = features.split([heads * dim for heads, dim in map(sizes.shape, NAMES)])
    return {n: p.view(sizes.shape(n)) for n, p in zip(NAMES, parts, strict=True)}


def grouped(sizes: Geometry) -> dict[str, Tensor]:
    """Features of a fused projection that holds, group by group, the query heads that share a key, the key, the value.

    With as many key heads as query heads this is query, key, value of the first head, then of the second, and so on
    (GPT-NeoX, Falcon).
    """
    groups = torch.arange((sizes.heads + 2 * sizes.kv_heads) * sizes.dim).view(sizes.kv_heads, -1, sizes.dim)
    return {"query": groups[:, :-2].reshape(-1, sizes.dim), "key": groups[:, -2], "value": groups[:, -1]}


def layouts(sizes: Geometry) -> Iterator[dict[str, Tensor]]:
    """All known layouts of a fused projection: {name: features [head, dim]}."""
    yield concatenated(sizes)
    yield grouped(sizes)
