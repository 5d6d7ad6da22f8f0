"""The pytest plugin (first version: the `adapters` fixture of the reference)."""

import importlib
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def adapters(request: pytest.FixtureRequest) -> Any:
    """The adapters under test, as attributes."""
    tests = request.config.rootpath / "tests"
    assignment = Path(request.path).relative_to(tests).parts[0]
    return importlib.import_module(f"{assignment}.reference.adapters")
