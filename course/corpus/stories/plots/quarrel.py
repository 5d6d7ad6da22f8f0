"""Two friends fall out over a small thing and find back to each other."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

from course.corpus.stories.feelings import (
    SAD,
    TOGETHER,
    TOGETHER_WILD,
)
from course.corpus.stories.people import introduce
from course.corpus.stories.scenery import DAYS, PLACES
from course.corpus.stories.telling import Teller

_QUARRELS = (
    (
        "who should be captain",
        "both wanted to steer the ship",
        "the ship that they had made from {a big box|two crates}",
    ),
    (
        "what to build",
        "one wanted a tower and the other a bridge",
        "everything they had built so far",
    ),
    (
        "who had seen it first",
        "both had found the same {pretty stone|golden leaf}",
        "the pretty thing",
    ),
    ("the rules of the game", "each of them remembered the rules differently", "the whole game"),
    (
        "which way to go",
        "one wanted to go left and the other right",
        "the map they had drawn together",
    ),
    ("whose turn it was", "both were sure that it was their own turn", "the rope of the swing"),
)


def tell(t: Teller, wild: bool) -> None:
    """Tell it."""
    about, how, ruined = t.pick(_QUARRELS)
    t.know(about=about, how=how, ruined=ruined, day=t.pick(DAYS))
    introduce(t, wild, ("stubborn", "bossy", "proud", "impatient", "grumpy", "lively"), hobby=0.0)
    t.say(
        "<he> and <friend_is> {did everything together|were nearly always together|had never spent a day apart}.",
        "{nearly every day|whenever <he> could}, <he> played with <friend_is>, and {they never ran out of ideas|there was always something to laugh about}.",
    )
    t.paragraph()
    t.say("<day>, they {met at|went to} <place>. " + t.pick(PLACES[t.slots["place"]]))
    t.say(
        "{everything went well until|it was a fine day until} they began to quarrel about <about>. <how>.",
        "but then they got into a quarrel about <about>, for <how>.",
    )
    t.say(
        '"{you always want to decide|it is always you|you never listen}!" {shouted|cried} <hero>. "{that is not true|and you are always so bossy|no, you never listen}!" <friend> shouted back.',
    )
    t.say(
        "they pushed and pulled, and suddenly <ruined> {was ruined|was broken}. {there was a long silence|both of them stared at it}.",
        "in the end, <hero> {stamped <his> foot|turned red with anger} and {tore up|smashed} <ruined>.",
    )
    t.say(
        '"{I never want to play with you again|then I will just play alone}!" {said <friend>|<friend> said}, and {ran off|went home}.',
        "they {turned their backs on each other|went home}, one to the left and one to the right.",
    )
    t.paragraph()
    t.say(
        "<hero> {tried to play alone|sat alone}. but {a seesaw is no good for one|one cannot play <game> alone|nobody was there to laugh at <his> jokes}."
        if not wild
        else "<hero> tried to play alone. but {nobody was there to laugh at <his> jokes|one cannot play tag alone}.",
        "the {day|afternoon} was {endless|very long}. <he> {saw a cloud that looked like a {whale|camel}|found a beetle with golden wings}, but there was nobody to show it to.",
    )
    t.say(*SAD)
    t.say(
        '"{who was right|so who was right}?" asked <elder_is>, when <hero> had told the story. <hero> {thought|opened <his> mouth and shut it again}. "{I do not remember|I cannot even remember how it started}," <he> said. "{then it cannot have been so important|being right is a lonely thing without a friend}," said <elder>.',
        '"{a quarrel is like a knot|a quarrel is like a splinter}," said <elder_is>. "{if both sides pull, it only gets tighter|it will hurt until you take it out}."',
    )
    t.paragraph()
    t.say(
        "so <hero> {swallowed <his> pride|took heart} and {set out|ran} to find <friend>. halfway there, <he> met <friend>, who was {on the way to <him>|just coming to look for <him>}!",
        "the next {morning|day}, <hero> {went to see|waited for} <friend>, with {a bunch of <flowers>|some <food>} as a present.",
    )
    t.say(
        '"I am sorry," they both said at {exactly|} the same time. then they {had to laugh|burst out laughing}.',
        '"I am sorry," said <hero>. "{you were right, too|I should have listened}." "{me too|I am sorry, too}," said <friend>. "{I shouted first|I missed you}."',
    )
    t.say(
        "they {took turns from then on|made a new plan}: {first one, then the other|today yours, tomorrow mine}. {it worked very well|it was even better than before}.",
        "together they {repaired what was broken|started all over again}, and {this time they asked each other first|it turned out better than before}.",
    )
    t.say(*(TOGETHER_WILD if wild else TOGETHER))
    t.say(
        "{friends may quarrel, but good friends make up|the first one to say sorry is the stronger one|it is easier to win a quarrel than a friend}.",
        "<hero> had learned that {saying sorry takes only a moment, but it can save a friendship|listening is half of every game|a friend is worth more than being right}.",
    )
