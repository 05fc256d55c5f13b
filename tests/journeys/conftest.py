"""The models of the journeys: the one that ships for what is heard, the tiny one for what happens when."""

from __future__ import annotations

import pytest
import torch

from descant.model import MusicModel, load_model, tiny_model


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny() -> MusicModel:
    return tiny_model()


@pytest.fixture(scope="session")
def embedded() -> MusicModel:
    return load_model("embedded")
