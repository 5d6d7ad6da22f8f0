"""A task far away; kindness on the road is repaid when it counts."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

from course.corpus.stories.feelings import (
    HAPPY,
)
from course.corpus.stories.people import introduce
from course.corpus.stories.telling import Teller

# On the way: (who is in need, request, what the hero does, how it is repaid)
_MEETINGS = (
    (
        "an ant",
        "carry me over the puddle, please",
        "let it climb onto a leaf and pushed it across",
        "the ants {gnawed through the rope|carried away the grains of sand, one by one}, and the {gate|door} was open",
    ),
    (
        "an old woman with a heavy basket",
        "would you carry this up the hill",
        "carried the basket to the very top",
        "the old woman had told <him> of a secret path behind the waterfall",
    ),
    (
        "a magpie with its foot in a snare",
        "set me free",
        "untied the knot",
        "the magpie flew down with the silver key in its beak",
    ),
    (
        "a thirsty donkey",
        "could you fetch me some water",
        "filled <his> hat at the well",
        "the donkey came trotting along and carried <him> over the swamp",
    ),
    (
        "a lost goose",
        "which way is south",
        "pointed to the sun and drew an arrow in the sand",
        "the geese landed all around <him> and kept <him> warm through the night",
    ),
    (
        "a scarecrow without a hat",
        "the sun is burning my head",
        "gave it <his> own cap",
        "the wind carried the cap ahead and showed <him> the way",
    ),
    (
        "a frog who had lost its voice",
        "help me to find my croak",
        "sang every song <he> knew, until the frog joined in",
        "the frogs began to croak and led <him> through the fog",
    ),
    (
        "a shepherd whose dog was ill",
        "help me to gather my sheep",
        "ran after the sheep until the last one was in, and the shepherd gave <him> a warm cloak",
        "the shepherd's cloak kept <him> warm and dry",
    ),
    (
        "a snail on a wide road",
        "I shall never reach the other side",
        "lifted it across",
        "the snail had left a shining trail, and <he> followed it home in the dark",
    ),
)
_GOALS = (
    (
        "a {blue|healing|bitter} flower that grew only on the mountain",
        "<elder> had a bad cough, and only one thing would help",
    ),
    ("water from the spring at the end of the valley", "the well had run dry"),
    (
        "the bell that the storm had carried off",
        "without its bell the tower was silent, and nobody knew the time",
    ),
    ("a spark from the lighthouse", "all the fires had gone out in the great rain"),
    (
        "the oldest tree in the land, to ask it a question",
        "nobody knew why the birds had stopped singing",
    ),
    (
        "a letter to the other side of the forest",
        "it was important, and the postman had broken his leg",
    ),
)


def tell(t: Teller, wild: bool) -> None:
    """Tell it."""
    goal, reason = t.pick(_GOALS)
    t.know(goal=goal, reason=reason)
    introduce(
        t,
        wild,
        ("brave", "kind", "helpful", "curious", "stubborn", "cheerful", "generous"),
        hobby=0.2,
    )
    t.paragraph()
    errand = (
        "bring <goal>"
        if "letter" in goal
        else "find <goal>"
        if "tree" in goal or "bell" in goal
        else "fetch <goal>"
    )
    t.know(errand=errand)
    t.say(
        '{one day|one winter|one spring}, there was trouble: <reason>. "somebody must <errand>," said <elder_is>.'
        + ' "{I will go|let me do it}," said <hero>.',
        "{then came a day when|it happened that} <reason>. so <hero> packed some <food> and set out to <errand>.",
    )
    t.say(
        "the road was long. it {wound|led} {through dark woods|over hills and bridges|past fields of barley}, and {the wind was cold|there was nobody to talk to}.",
        "<he> {walked all morning|had been walking since dawn}, {over stones and roots|through mud and nettles}, {singing to keep up <his> spirits|and <his> feet were sore}.",
    )
    t.paragraph()
    meetings = t.sample(_MEETINGS, 2)
    for number, (who, request, deed, _) in enumerate(meetings):
        t.know(who=who, request=request, deed=deed)
        t.say(
            (
                "{by the side of the road|before long}, <he> met <who>."
                if not number
                else "{a little farther on|in the afternoon|not long after that}, <he> came upon <who>."
            ),
            (
                "after a mile or two, <he> met <who>."
                if not number
                else "{next|then}, <he> met <who>."
            ),
        )
        mark = "?" if request.split()[0] in ("would", "could", "which") else "."
        t.say(f'"{{please|oh}}, <request>{mark}"' if mark == "?" else '"<request>."')
        t.say(
            "<hero> was in a hurry, but <he> <deed>.",
            '"{let me help you|wait a moment}," said <hero>, and <he> <deed>.',
            "<he> did not think twice. <he> <deed>.",
        )
    t.paragraph()
    t.know(repaid=meetings[int(t.chance(0.5))][3])
    t.say(
        "{at last|toward evening}, <he> had almost reached the goal. but then {night fell|the path ended|a thick fog came down}, and <he> {could not go any farther|did not know what to do}.",
        "{just before the end|in the evening}, everything went wrong. {it began to hail|a storm came up|the way was blocked}, and <hero> {sat down on a stone|was close to giving up}.",
    )
    t.say(
        "then {something wonderful happened|help came from where <he> did not expect it}: <repaid>.",
        "and now <his> kindness was repaid: <repaid>.",
    )
    t.say(
        "{so|and so} <he> {did what <he> had come for|finished <his> task} and {came home safe and sound|was home again before the next sunset}.",
        "{the next morning|soon}, <his> task was done, and <he> {ran home as fast as <he> could|started for home with a light heart}.",
    )
    t.say(*HAPPY)
    t.say(
        '"{how did you manage it|were you not afraid, all alone}?" asked <elder>. "{I was never alone|I had help from friends}," said <hero>, and told the whole story.',
        "{everybody|the whole {valley|neighborhood}} celebrated. and <hero> {knew|had learned}: {help others on your way, and you will not be alone when you need help|those who have time for others arrive in time}.",
    )
    t.say(
        "{kindness is never a waste of time|whoever gives help finds help}.",
        "{and that is how <he> learned that|it goes to show that} {a small favor can be worth more than gold|no good deed is too small}.",
    )
