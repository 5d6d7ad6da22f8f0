"""A boaster and a steady one compete; the boaster is helped in the end."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

from course.corpus.stories.feelings import (
    HAPPY,
)
from course.corpus.stories.people import introduce
from course.corpus.stories.scenery import DAYS
from course.corpus.stories.telling import Teller

_CONTESTS = (
    ("the sack race", "hop", "got tangled in {the sack|<fhis> own feet} and fell flat"),
    ("the boat race on the pond", "blow", "steered straight into the reeds"),
    ("the kite contest", "climb", "let out too much string, and the kite dived into a tree"),
    ("the running race", "run", "stopped to wave to the crowd and tripped over a root"),
    ("the snowman contest", "build", "made a head so big that it rolled off and broke"),
    ("the cooking contest", "stir", "would not taste <fhis> own soup, and it was full of soap"),
    ("the sandcastle contest", "dig", "built too close to the water, and the tide took it all"),
    ("the big spelling match", "spell", "answered so fast that <fhe> left out a letter"),
    ("the sledge race", "slide", "took the curve too fast and flew into a snowdrift"),
)


def tell(t: Teller, wild: bool) -> None:
    """Tell it."""
    game, verb, mishap = t.pick(_CONTESTS[:4] if wild else _CONTESTS)
    t.know(contest=game, verb=verb, mishap=mishap, day=t.pick(DAYS))
    introduce(
        t, wild, ("hardworking", "shy", "careful", "gentle", "cheerful", "clever"), hobby=0.25
    )
    t.paragraph()
    t.say(
        "every {year|summer|spring}, there was a great {festival|feast}, and the best part was <contest>.",
        "{one day, a notice hung on the {big <tree> tree|gate}|<day>, there was big news}: everyone could enter <contest>!",
    )
    t.say(
        '"{I will win, of course|nobody can beat me|you need not even try}," {boasted|bragged} <friend_is>. "{you are much too slow|you have no chance, <hero>|I do not even have to practice}."',
        '<friend_is> {laughed|snorted} when <hero> {signed up|wanted to take part}. "you? {that will be funny|you will come last}."',
    )
    t.say(
        "<hero> {said nothing|only shrugged}. <he> {practiced every day|got up early and practiced}, {while <friend> slept late|a little at a time}.",
        'it {stung|hurt}, but <hero> {did not argue|kept quiet}. instead <he> asked <elder_is> for advice. "{slow and steady|do your best, and look straight ahead}," said <elder>.',
    )
    t.paragraph()
    t.say(
        'then the great day came. {flags fluttered|drums rolled|the crowd cheered}, and {somebody called|<elder> called}, "ready, steady, go!"',
        "{at last|finally}, it was time. <hero>'s heart was {pounding|beating fast} when the {whistle blew|signal came}.",
    )
    t.say(
        "<friend> {was ahead at once|took the lead} and {looked back to laugh|grinned over <fhis> shoulder}. but then <fhe> <mishap>!",
        "at first, <friend> was {far ahead|the best of all}. then {it happened|something went wrong}: <fhe> <mishap>!",
    )
    t.paragraph()
    if t.chance(0.5):
        t.say(
            '<hero> could have {gone on and won|won easily}. but <he> {stopped|turned around} and {helped <friend> up|went back to help}. "{are you hurt|are you all right}?" <he> asked.',
        )
        t.say(
            "they {came in last, side by side|finished together, long after the others}, and the {crowd|whole crowd} {cheered louder than for the winner|clapped the loudest for them}.",
        )
        t.say(
            '"you could have won," said <friend>. "{a friend is better than a medal|there will be another race, but there is only one of you}," said <hero>.',
            '<friend> {looked at <fhis> feet|blushed}. "I {laughed at you|was unkind to you}, and you helped me," <fhe> said. "{thank you|I will not forget it}."',
        )
        t.say(
            "{that day|and so}, <hero> won {something better than a prize|no prize, but a friend}. {kindness is a race that everyone can win|it is good to be fast, but it is better to be kind}.",
            "<hero> had learned that {winning is not the most important thing|there is more than one way to win}.",
        )
    else:
        t.say(
            "<hero> {went on, steadily|did not hurry and did not stop}, just as <he> had practiced. <he> {passed one, then another|came closer and closer}, and {in the end|at last} <he> had won!",
        )
        t.say(*HAPPY)
        t.say(
            '<friend> {came over slowly|held out a hand}. "{you were better than me|I boasted too much|I should have practiced too}," <fhe> said. "will you show me how?"',
            'when it was over, <hero> went to <friend>. "{that was bad luck|you are very quick}," <he> said. "{shall we practice together next time|do you want to share the prize}?" <friend> {nodded|smiled shyly}.',
        )
        t.say(
            "{those who boast|big words} {trip easily|win nothing}, but {steady work wins|small steps go far}.",
            "and everyone {agreed|saw} that {practice is worth more than bragging|patience beats pride}.",
        )
