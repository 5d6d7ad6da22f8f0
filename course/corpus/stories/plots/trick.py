"""A prank that is not funny for the other one comes back to the prankster."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

from course.corpus.stories.feelings import (
    ANGRY,
    GUILTY,
    SAD,
)
from course.corpus.stories.people import introduce
from course.corpus.stories.scenery import DAYS
from course.corpus.stories.telling import Teller

# A prank on the friend: (what is done, what follows, how it comes back to the prankster)
_PRANKS = (
    (
        "put salt into the sugar bowl",
        "<friend> {took a big sip of cocoa|sprinkled it on <fhis> porridge} and {spat it out|made a terrible face}",
        "<hero> forgot all about it and sweetened <his> own {tea|pancakes} with it",
    ),
    (
        "hid <friend>'s left boot on the roof of the shed",
        "<friend> {hopped around on one foot|searched for an hour} and was late for the {party|parade}",
        "when <hero> climbed up to fetch it, the ladder {slipped|fell over}, and there <he> sat until sunset",
    ),
    (
        "tied a string across the path",
        "<friend> {tripped over it|fell over it} and dropped a basket of eggs",
        "that evening <hero> ran along the same path in the dusk, and down <he> went",
    ),
    (
        "painted <friend>'s nose green while <fhe> was asleep",
        "everyone at the market {stared and giggled|pointed}, and <friend> did not know why",
        "the paint stuck to <his> own fingers, and <he> rubbed <his> eyes, and soon <he> looked like a frog",
    ),
    (
        "put a frog into <friend>'s hat",
        "<friend> {screamed|jumped} so hard that <fhe> knocked over the jam",
        "the frog {jumped into <his> own bed|hid in <his> own boots} and croaked all night",
    ),
    (
        "wrote a letter that said there was treasure under the {pear|plum} tree",
        "<friend> dug all day and got blisters on both hands",
        "on <his> way home <he> fell into the very hole that <friend> had dug",
    ),
    (
        "glued a coin to the floor",
        "<friend> {pulled and pulled|broke a fingernail on it}",
        "the glue had dripped on <his> own chair, and when <he> stood up, <his> trousers stayed behind",
    ),
    (
        "changed all the signs at the crossroads",
        "<friend> walked for two hours in the wrong direction",
        "a fog came up, and <hero> followed the wrong sign <himself>",
    ),
)
_WILD_PRANKS = (
    (
        "covered a puddle with leaves",
        "<friend> stepped right into it and got wet to the ears",
        "<he> forgot where the puddle was and landed in it <himself>",
    ),
    (
        "hid all of <friend>'s winter food",
        "<friend> searched {the whole day|under every stone} and went to bed hungry",
        "the next day <he> could not remember the place <himself>, and both had empty bellies",
    ),
    (
        "howled like a wolf behind a bush",
        "<friend> ran away so fast that <fhe> {lost a berry basket|bumped into a tree}",
        "a real wolf heard <him> and howled back, quite near",
    ),
    (
        "swapped the stones that marked the path home",
        "<friend> wandered about until the moon was up",
        "a fog came up, and <he> followed the wrong stones <himself>",
    ),
    (
        "put a burr into <friend>'s bed",
        "<friend> {could not sleep|jumped up with a yelp}",
        "the burr stuck to <his> own tail, and it took all day to get it out",
    ),
)


def tell(t: Teller, wild: bool) -> None:
    """Tell it."""
    prank, effect, backfire = t.pick(_WILD_PRANKS if wild else _PRANKS)
    t.slots["friend_is"] = t.slots["friend"]
    t.know(prank=prank, effect=effect, backfire=backfire, day=t.pick(DAYS))
    introduce(t, wild, ("mischievous",), hobby=0.0)
    t.maybe(
        0.6,
        "most of the time, it was <friend> who had to suffer for it.",
        "{nobody|no one} was safe from <him>, and least of all <friend>.",
    )
    t.paragraph()
    t.say(
        "<day>, <hero> {had a new idea|was bored|thought of something}. {very quietly|when nobody was looking}, <he> <prank>."
    )
    t.maybe(
        0.5,
        '"{this will be funny|I cannot wait to see <friend>\'s face}," <he> thought, and hid {behind a bush|around the corner}.',
    )
    t.say("{and indeed|it worked just as planned}: <effect>.", "<effect>.")
    t.say(
        '<hero> {giggled until <he> cried|rolled on the ground with laughter|laughed until <his> sides hurt}. but <friend> did not laugh. <friend> {had tears in <fhis> eyes|turned away without a word|only said, "that was mean"}.',
        '"{got you|fooled you}!" {shouted|cried} <hero>. <friend> {bit <fhis> lip|looked at <him> sadly}. "{that was not funny|why do you always do that}," <fhe> said, and went home.',
    )
    t.paragraph()
    t.say(
        "but {the story was not over|that was not the end of it}. {later|the same evening|the next day}, {something happened that <he> had not planned|<his> luck ran out}: <backfire>.",
        "{pranks have a way of coming back|what goes around comes around}. <backfire>.",
    )
    t.say(*(SAD + ANGRY))
    t.say(
        '{and who came along|who should come by}? it was <friend>. <fhe> could have laughed. but <fhe> {held out a hand|helped <him>} and {asked, "are you all right?"|did not say a single mean word}.',
        "<friend> saw it. {for a moment <fhe> smiled|<fhe> almost laughed}, but then <fhe> came and helped <him>.",
    )
    t.say(*GUILTY)
    t.paragraph()
    t.say(
        '"{now I know how it feels|I am sorry}," said <hero>. "{I thought it was funny, but it was only funny for me|a joke is only a joke when both of us can laugh}."',
        '"why do you help me, after what I did?" asked <hero>. "{because that is what friends do|somebody has to stop first}," said <friend>. <hero> {was silent|thought about that for a long time}. "I am sorry," <he> said at last.',
    )
    t.say(
        "after that, <hero> {still liked jokes|did not stop playing jokes}, but only {the kind at which everyone could laugh|such as hurt nobody}.",
        "<hero> had learned that {a trick that hurts is no joke|those who dig a pit for others may fall into it}.",
        "and the {best|next} surprise that <he> planned for <friend> was {a birthday party|a bunch of <flowers> on the doorstep}."
        if not wild
        else "and the next surprise that <he> planned for <friend> was a big heap of <food>.",
    )
