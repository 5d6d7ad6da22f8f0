"""A treasure is lost, looked for in vain, and found with help."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

from course.corpus.stories.feelings import (
    EVENING,
    HAPPY,
    SAD,
)
from course.corpus.stories.people import introduce, treasure
from course.corpus.stories.scenery import DAYS, PLACES
from course.corpus.stories.telling import Teller

# Where a lost thing turns up, and how it got there.
_FOUND = (
    (
        "under the {rug|bench|bushes|porch steps}",
        "it must have rolled there when <he> {jumped up|turned around|sat down to rest}",
    ),
    (
        "in the pocket of <his> {old coat|apron|raincoat}",
        "<he> had put it there <himself> to keep it safe",
    ),
    (
        "in the fork of a <tree> tree",
        "a {<bird>|magpie|crow} had {carried it off|taken it for its nest}",
    ),
    (
        "behind the {woodpile|rain barrel|flowerpots|big basket}",
        "the {wind|cat|puppy from next door} must have {carried|pushed|dragged} it there",
    ),
    (
        "on the {windowsill|garden wall|top shelf}",
        "<friend> had found it on the path and put it there so that nobody would step on it",
    ),
    (
        "at the bottom of the {laundry basket|picnic basket|wheelbarrow}",
        "it had slipped in when nobody was looking",
    ),
)
_FOUND_WILD = (
    (
        "under a {fern|flat stone|heap of leaves}",
        "it must have rolled there when <he> {jumped up|stopped to drink}",
    ),
    ("in the fork of a <tree> tree", "a magpie had taken it for its nest"),
    ("between the roots of a <tree> tree", "the {wind|rain} had carried it there"),
    ("at the edge of the {stream|pond}", "<he> had put it down <himself> to take a drink"),
)
_SEARCHED = (
    "<he> looked {under the table|behind the curtains|in every drawer}, but there was only {dust|an old sock|a spoon}.",
    "<he> turned over {every cushion|all the boxes} and found {a comb|three pennies|a dried-up spider}, but no <thing>.",
    "<he> crawled through the {hedge|bushes} and got {leaves|burrs} in <his> hair, but the <thing> was not there either.",
    "<he> asked the {mailman|baker|old woman at the corner}, but nobody had seen any <thing>.",
    "<he> {walked|went} all the way back to <place>, step by step, with <his> eyes on the ground.",
)  # fmt: skip
_SEARCHED_WILD = (
    "<he> looked under {leaves|logs|stones}, but there {was only a <insect>|were only beetles}.",
    "<he> poked <his> nose into every {bush|clump of grass}, but the <thing> was not there.",
    "<he> asked the <bird>, but the <bird> {shook its head|had seen nothing}.",
    "<he> went all the way back to <place>, step by step, with <his> eyes on the ground.",
)


def tell(t: Teller, wild: bool) -> None:
    """Tell it."""
    treasure(t)
    t.know(day=t.pick(DAYS))
    introduce(t, wild, ("messy", "forgetful", "dreamy", "lively", "impatient", "cheerful"))
    t.say(
        "<his> {greatest|dearest} treasure was <a_thing>. <why>.",
        "of all the things that <he> owned, <he> loved <a_thing> the most. <why>.",
        "<he> took <a_thing> everywhere, for <why>.",
    )
    t.paragraph()
    t.say(
        "<day>, <hero> {went|set off} to <place>.",
        "<day>, <he> {took|carried} the <thing> to <place>.",
        "<day>, <hero> and <friend_is> {met at|ran to|walked to} <place>.",
    )
    t.maybe(0.7, *PLACES[t.slots["place"]])
    t.say(
        "but when <he> {reached for|wanted to show|looked for} <his> <thing>, it was {gone|nowhere to be seen}!",
        "it was only on the way home that <he> {noticed|saw} it: the <thing> was gone!",
        "<he> played and played. then <he> {stopped|froze}. where was the <thing>?",
    )
    t.say(*SAD)
    t.paragraph()
    for line in t.sample(_SEARCHED_WILD if wild else _SEARCHED, 1 + t.chance(0.6)):
        t.say(line)
    t.say(
        '"{I will never find it|it is gone forever|I have looked everywhere}," {said|sighed} <hero>.',
        '"oh, where can it be?" <he> {cried|wailed|whispered}.',
    )
    where, how = t.pick(_FOUND_WILD if wild else _FOUND)
    t.know(where=where, how=how)
    helper = t.pick(("friend", "elder"))
    t.know(helper=f"<{helper}>", helper_is=f"<{helper}_is>")
    t.say(
        '<helper_is> {heard|saw} <him> and {came over|stopped}. "{let us think|let us look together|do not give up yet}," {said <helper>|<helper> said}. "{when did you have it last|where did you see it last|what did you do before}?"',
        '"{you look worried|what is the matter|why the long face}?" asked <helper_is>. when <he> {had told the story|explained}, <helper> {nodded|thought for a moment}. "{two can search better than one|four eyes see more than two}."',
    )
    t.say(
        "{together|slowly}, they {went over the whole day again|searched every corner|followed <his> steps backward}.",
        "<hero> {closed <his> eyes and tried to remember|thought hard}. then <he> {ran|hurried} {back|off}.",
    )
    t.say(
        "and there, <where>, {lay|was} the <thing>! <how>.",
        "suddenly, <helper> {pointed with a shout|gave a shout}. the <thing> was right there, <where>! <how>.",
        "<where>, something {gleamed|caught the light|looked familiar}. it was the <thing>! <how>.",
    )
    t.say(*HAPPY)
    t.paragraph()
    t.say(
        '"thank you," said <hero>. "{next time I will take better care of it|I should have asked for help sooner|without you, I would have given up}."',
        "<he> {hugged|thanked} <helper> and {held the <thing> tight|promised to be more careful}.",
    )
    t.say(
        "from then on, <he> {always put the <thing> back in its place|gave every treasure a home of its own|looked twice before <he> left}.",
        "<he> had learned that {a good friend is worth more than any treasure|things are easier to find when you do not search alone|a calm mind finds more than a hurried one}.",
        "and {ever since|from that day on}, {when somebody lost something, <hero> was the first to help|<he> never left <his> things lying about}.",
    )
    t.maybe(0.25, *EVENING)
