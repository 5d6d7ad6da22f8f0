"""The plots: one module each, with `tell(t, wild)` and what it chooses from."""

from collections.abc import Callable

from course.corpus.stories.plots import (
    animal,
    contest,
    false_alarm,
    fear,
    garden,
    honesty,
    journey,
    lost,
    making,
    mystery,
    newcomer,
    quarrel,
    sharing,
    skill,
    trick,
    weather,
)
from course.corpus.stories.telling import Teller

# Plot and the probability that its characters are animals.
PLOTS: tuple[tuple[Callable[[Teller, bool], None], float], ...] = (
    (lost.tell, 0.35),
    (sharing.tell, 0.35),
    (honesty.tell, 0.0),  # teapots and windows
    (making.tell, 0.35),
    (skill.tell, 0.3),
    (fear.tell, 0.35),
    (newcomer.tell, 0.4),
    (contest.tell, 0.3),
    (animal.tell, 0.3),
    (weather.tell, 0.0),  # plans for fairs and concerts
    (garden.tell, 0.0),
    (journey.tell, 0.3),
    (trick.tell, 0.35),
    (false_alarm.tell, 0.0),  # those who guard animals are people
    (mystery.tell, 0.35),
    (quarrel.tell, 0.4),
)
