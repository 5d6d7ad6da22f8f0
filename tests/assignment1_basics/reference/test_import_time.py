"""Importing the reference is quick, and the adapters are the stubs with bodies."""

import inspect
import json
import subprocess
import sys

import pytest

import assignment1_basics.adapters as stubs
import assignment1_basics.reference.adapters as reference

HEAVY = ["numba", "matplotlib", "wandb", "submitit", "transformers", "datasets", "tyro"]
HEAVY += ["safetensors", "tokenizers", "tiktoken", "regex", "rich"]

MEASURE = f"""
import json, sys, time
import torch
start = time.process_time()
import assignment1_basics.reference.adapters
seconds = time.process_time() - start
print(json.dumps([seconds, [name for name in {HEAVY} if name in sys.modules]]))
"""


def test_the_adapters_import_in_half_a_second_beyond_torch_and_nothing_heavy():
    for _ in range(3):  # a busy machine gets another chance
        output = subprocess.run(
            [sys.executable, "-c", MEASURE], check=True, capture_output=True, text=True
        ).stdout
        seconds, heavy = json.loads(output)
        assert heavy == []
        if seconds < 0.5:
            break
    assert seconds < 0.5


def functions(module) -> dict:
    return {
        name: function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and name.startswith(("run_", "get_"))
    }


def test_the_reference_fills_in_every_stub():
    assert functions(reference).keys() == functions(stubs).keys()


@pytest.mark.parametrize("name", functions(stubs))
def test_signatures_are_those_of_the_stubs(name):
    expected, received = (
        inspect.signature(inspect.unwrap(functions(module)[name])) for module in (stubs, reference)
    )
    assert str(received) == str(expected)
