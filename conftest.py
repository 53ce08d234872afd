"""Registers the plugin, and fixtures for the tests of the harness itself."""

import os

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # one of several processes that share the cores: a thread for each core in every one of them slows all down
    os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["pytester", "fixtures.plugin"]


@pytest.fixture(params=[4, 2, 1], ids=["MHA", "GQA", "MQA"])
def tiny(request):
    """A tiny model of every kind of sharing of key and value heads."""
    from fixtures.models.tiny import tiny_llama  # it imports torch, which audits and comparisons do without

    return tiny_llama(kv_heads=request.param)


@pytest.fixture
def tiny_folder(tmp_path):
    """Makes a folder with a tiny model in it: `tiny_folder("rope", seed=1)`."""
    from fixtures.models.tiny import save, tiny_llama

    return lambda name, **options: save(tiny_llama(**options), tmp_path / name)


@pytest.fixture
def ids():
    """Token ids [batch 2, pos 24]."""
    import torch

    return torch.randint(3, 259, (2, 24), generator=torch.Generator().manual_seed(1))
