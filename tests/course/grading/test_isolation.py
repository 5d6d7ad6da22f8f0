"""What `tests/conftest.py` promises: fixed seeds, few threads, no network, the same examples."""

import os
import random
import socket

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

DRAWN = []


@pytest.mark.parametrize("time", [1, 2])
def test_seeds_are_set_for_every_test(time):
    DRAWN.append((random.random(), numpy.random.rand(), torch.rand(1).item()))  # noqa: NPY002
    assert DRAWN[-1] == DRAWN[0]


def test_few_threads():
    assert torch.get_num_threads() <= 2


def test_no_network():
    for address in (("192.0.2.1", 80), ("example.org", 443)):
        with socket.socket() as connection, pytest.raises(OSError, match="tests run without netw"):
            connection.connect(address)


def test_this_machine_is_no_network():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


def test_libraries_are_offline():
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert os.environ["WANDB_MODE"] in ("offline", "disabled")


def test_examples_are_the_same_in_every_run():
    assert settings().derandomize
    assert settings().database is None
    examples = []

    @given(st.integers())
    def draw(number):
        examples.append(number)

    draw()
    first = examples.copy()
    examples.clear()
    draw()
    assert examples == first
