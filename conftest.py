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
    # here and below: torch takes seconds to import, and audits and comparisons do without it
    from fixtures.models.tiny import tiny_llama

    return tiny_llama(kv_heads=request.param)


@pytest.fixture
def tiny_folder(tmp_path):
    """Makes a folder with a tiny model in it: `tiny_folder("rope", seed=1)`."""
    from fixtures.models.tiny import save, tiny_llama  # it imports torch

    return lambda name, **options: save(tiny_llama(**options), tmp_path / name)


@pytest.fixture
def ids():
    """Token ids [batch 2, pos 24]."""
    import torch  # as above

    return torch.randint(3, 259, (2, 24), generator=torch.Generator().manual_seed(1))
