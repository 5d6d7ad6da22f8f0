"""The weather spoils a plan; something better comes of it."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

from course.corpus.stories.feelings import (
    HAPPY,
    TOGETHER,
    TOGETHER_WILD,
)
from course.corpus.stories.people import introduce
from course.corpus.stories.scenery import DAYS, WEATHER
from course.corpus.stories.telling import Teller

# What the weather spoils, by kind of weather: (plan, instead, outcome)
_SPOILED = {
    "storm": (
        (
            "have a picnic",
            "spread the blanket on the floor of the {kitchen|barn} and ate there",
            "it was the driest picnic of the year",
        ),
        (
            "fly kites",
            "built a castle out of {chairs and blankets|old boxes}",
            "the rain sounded like applause on its roof",
        ),
        (
            "go to the fair",
            "made a fair of their own, with {hoopla rings|a wheel of fortune} and a prize for everyone",
            "nobody wanted to go home",
        ),
    ),
    "snow": (
        (
            "visit the zoo",
            "built {a bear|an elephant|a giraffe} out of snow",
            "soon a whole zoo stood in the yard",
        ),
        (
            "go to the concert",
            "banged on pots and blew on combs by the fire",
            "even the cat seemed to dance",
        ),
        (
            "ride to the market",
            "pulled the sledge to the neighbors and traded <food> for soup",
            "everybody had enough to eat",
        ),
    ),
    "fog": (
        (
            "climb the hill to see the sea",
            "told ghost stories and {rang a bell|swung a lantern} for those who had lost their way",
            "three travelers found the door because of it",
        ),
        (
            "sail to the island",
            "learned to tell the birds apart by their calls",
            "they had never listened so well before",
        ),
    ),
    "heat": (
        (
            "play a great ball game",
            "carried water to the old people and {to the thirsty trees|to the dusty hens}",
            "at sundown somebody gave them the biggest melon of all",
        ),
        (
            "hike to the castle",
            "sat in the stream with their feet on the cool stones and made up riddles",
            "it was the longest laugh of the summer",
        ),
    ),
    "wind": (
        (
            "row across the lake",
            "made {windmills|streamers} out of paper and ran with them",
            "the wind did all the work",
        ),
        (
            "plant the {beans|tulips}",
            "chased after {hats|bed sheets} all over the village and brought them back",
            "every owner gave them a {cookie|smile}",
        ),
    ),
}


def tell(t: Teller, wild: bool) -> None:
    """Tell it."""
    kind = t.pick(tuple(WEATHER))
    plan, instead, outcome = t.pick(_SPOILED[kind])
    t.know(plan=plan, instead=instead, outcome=outcome, day=t.pick(DAYS))
    introduce(t, wild, ("impatient", "grumpy", "stubborn", "lively", "cheerful", "dreamy"))
    t.say(
        "for {days|weeks}, <hero> and <friend_is> had looked forward to one thing: they wanted to <plan>.",
        "<hero> and <friend_is> had planned to <plan>. {everything was ready|they had packed everything the night before}.",
    )
    t.paragraph()
    t.say(
        "but on that very {day|morning}, the weather turned.",
        "then the great day came. but what was that?",
        "<hero> jumped out of bed and ran to {look outside|the window}. oh no!"
        if not wild
        else "<hero> woke up and looked outside. oh no!",
    )
    for line in t.sample(WEATHER[kind], 1 + t.chance(0.6)):
        t.say(line)
    t.say(
        '"{it is not fair|now everything is spoiled|stupid weather}!" {cried|grumbled} <hero>. <he> {stamped <his> foot|threw <himself> down in a corner|pressed <his> nose against the window}.'.replace(
            "|pressed <his> nose against the window",
            "" if wild else "|pressed <his> nose against the window",
        ),
        '"so much for our plan," {sighed|said} <friend>, and <hero> {kicked a pebble|felt like crying|scowled at the sky}.',
    )
    t.paragraph()
    t.say(
        '"{you cannot change the weather|the sky does not listen when we scold it|scolding will not help}," said <elder_is>. "{what could you do instead|who says that there is only one kind of fun}?"',
        '{for a while|for a long time}, they {just sat there|watched in silence}. then <friend> {sat up|had an idea}. "{listen|I know what we can do|wait}!"',
        'for a long time, <hero> {sulked|moped}. then an idea {popped into|came into} <his> head. "{of course|I have got it}!" <he> said.',
    )
    t.say("{so|and so}, they <instead>.", "before long, they <instead>.")
    t.maybe(0.6, *HAPPY)
    t.say("<outcome>.")
    t.maybe(0.5, *(TOGETHER_WILD if wild else TOGETHER))
    t.paragraph()
    t.say(
        'when <elder> asked {about the spoiled day|how the day had been}, <hero> laughed. "{spoiled? it was the best day of all|it was even better than our plan}!"',
        "<hero> had found out that {there is no bad weather for good friends|when one door closes, you can open another}.",
        "{since then|after that}, when a plan went wrong, <hero> did not complain, but looked for another one.",
        "{the sun comes out again sooner or later|you cannot choose the weather}, but {you can choose what you do with the day|a merry heart makes its own sunshine}.",
    )
