"""Simple, coherent English children's stories from a grammar: as many as you like.

What TinyStories (Eldan and Li 2023) showed, that a model of a few million parameters learns fluent
English if the world it describes is small, holds for these stories too. Each has a hero with a
trait, one of sixteen plots with cause and effect, dialogue and a moral. Story i of a seed is always
the same one, whatever the count, so that parts can be written by several processes.
"""

from collections.abc import Iterator
from functools import partial
from random import Random

from course.corpus.parallel import parallel_map
from course.corpus.stories.people import cast
from course.corpus.stories.plots import PLOTS
from course.corpus.stories.telling import Teller


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
    yield from parallel_map(partial(story, seed=seed), range(count), processes, chunk=256)


__all__ = ["stories", "story"]
