"""What loading and freeing models leaves behind."""

import pytest
import torch
from transformers.utils import logging

from lib.measuring.arms import Arms, quiet

pytestmark = pytest.mark.cpu


@pytest.mark.parametrize("shown", [True, False])
def test_progress_bars_are_hidden_for_a_while_and_then_as_before(shown):
    was = logging.is_progress_bar_enabled()
    switch = {True: logging.enable_progress_bar, False: logging.disable_progress_bar}
    try:
        switch[shown]()
        with quiet():
            assert not logging.is_progress_bar_enabled()
        assert logging.is_progress_bar_enabled() == shown
    finally:
        switch[was]()


@pytest.mark.parametrize("gpu", [True, False])
def test_the_memory_of_a_gpu_is_given_back_where_there_is_one(monkeypatch, gpu):
    emptied = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    arms = Arms({}, "cpu")
    arms.free()
    assert emptied == []
    arms.held["rope"] = object()
    arms.free()
    assert arms.held == {}
    assert emptied == [True] * gpu
