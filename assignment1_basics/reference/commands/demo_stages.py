"""Stages of the demo: each does its work once and is skipped while its inputs stay the same.

`stages.json` holds, for every finished stage, a hash of what went into it (its options and the hash
of the stage before), what came out, and the seconds it took. A change anywhere makes all later
stages stale; an interrupted stage has no entry and runs again.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from course.files import atomic_write

Facts = dict[str, Any]


class Stages:
    """The stages of one demo folder, in order.

    Args:
        folder: where the files of all stages are.
        total: how many stages there will be, for the headings.
    """

    def __init__(self, folder: Path, total: int) -> None:
        self.folder = folder
        self.total = total
        self.began = time.monotonic()
        self.seconds: dict[str, float] = {}
        self._record = folder / "stages.json"
        self._known: dict[str, Any] = read_json(self._record)
        self._key = ""

    @property
    def elapsed(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self.began

    def run(
        self,
        name: str,
        heading: str,
        inputs: Facts,
        outputs: Sequence[Path],
        work: Callable[[str], Facts],
    ) -> Facts:
        """Do a stage, or skip it; return its facts.

        Args:
            name: key in stages.json.
            heading: printed before it begins.
            inputs: what decides its result besides the stages before.
            outputs: files that must exist for it to be skipped.
            work: does it, given the hash of its inputs, and returns facts (JSON).
        """
        inputs_text = json.dumps([self._key, name, inputs], sort_keys=True, default=str)
        self._key = hashlib.sha256(inputs_text.encode()).hexdigest()[:16]
        print(f"\n[{len(self.seconds) + 1}/{self.total}] {heading}", flush=True)
        known = self._known.get(name, {})
        if known.get("key") == self._key and all(path.exists() for path in outputs):
            self.seconds[name] = 0.0
            print(f"      unchanged since the last run ({known['seconds']:.1f} s then)")
            return known["facts"]
        self._known.pop(name, None)
        start = time.monotonic()
        facts = work(self._key)
        self.seconds[name] = time.monotonic() - start
        self._known[name] = {"key": self._key, "seconds": self.seconds[name], "facts": facts}
        with atomic_write(self._record, "w") as file:
            json.dump(self._known, file, indent=2)
        print(f"      {self.seconds[name]:.1f} s", flush=True)
        return facts


def read_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds; nothing if it is missing or damaged (all is done again)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {}
