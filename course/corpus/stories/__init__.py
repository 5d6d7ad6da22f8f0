"""Simple, coherent English children's stories from a grammar: as many as you like.

What TinyStories (Eldan and Li 2023) showed, that a model of a few million parameters learns fluent
English if the world it describes is small, holds for these stories too. Each has a hero with a
trait, one of sixteen plots with cause and effect, dialogue and a moral. Story i of a seed is always
the same one, whatever the count, so that parts can be written by several processes.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from random import Random

from course.corpus.stories.people import cast
from course.corpus.stories.plots import PLOTS
from course.corpus.stories.telling import Teller

_CHUNK = 512


def story(index: int, seed: int = 0) -> str:
    """Return story number `index` of a seed."""
    t = Teller(Random(f"{seed}/{index}"))
    tell, animals = t.pick(PLOTS)
    tell(t, cast(t, animals))
    return t.text()


def stories(count: int, seed: int = 0, processes: int = 1) -> Iterator[str]:
    """Yield stories 0 to `count` - 1 of a seed.

    Args:
        count: how many; the first ones are the same for any count.
        seed: another seed gives other stories.
        processes: write them in so many processes; the result is the same. Above 1, the calling
            script needs the usual `if __name__ == "__main__"` guard.
    """
    if processes <= 1:
        yield from (story(index, seed) for index in range(count))
        return
    # Spawned, not forked: the caller may have threads, which a fork does not copy.
    pool = ProcessPoolExecutor(processes, get_context("spawn"))
    try:
        yield from pool.map(partial(story, seed=seed), range(count), chunksize=_CHUNK)
    finally:
        pool.shutdown(cancel_futures=True)


__all__ = ["stories", "story"]
