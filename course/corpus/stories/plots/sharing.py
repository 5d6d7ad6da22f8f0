"""Somebody will not share, finds out how lonely that is, and mends it."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

from course.corpus.stories.feelings import (
    GUILTY,
    SAD,
    TOGETHER,
    TOGETHER_WILD,
)
from course.corpus.stories.people import introduce, treasure
from course.corpus.stories.scenery import DAYS
from course.corpus.stories.telling import Teller


def tell(t: Teller, wild: bool) -> None:
    """Tell it."""
    treasure(t)
    t.know(day=t.pick(DAYS))
    treat = t.chance(0.4)
    introduce(t, wild, ("greedy", "stubborn", "proud", "bossy", "grumpy", "careful"), hobby=0.2)
    if treat:
        t.know(
            thing="{basket|bowl|plate}",
            a_thing="a {big|full|heaping} {basket|bowl|plate} of <food>",
            stuff="<food>",
        )
        t.slots["thing"] = t.slots["a_thing"].split()[2]
        t.say(
            "<day>, <elder_is> gave <him> <a_thing>.",
            "<day>, <he> {found|was given} <a_thing>, {fresh and delicious|more than <he> could eat}.",
        )
        t.say(
            '<friend_is> {came by|was passing}. "{that smells good|those look good|what a feast}," said <friend>. "{may I have a little|may I try some}?"',
        )
        t.say(
            '"no," said <hero>. "{it is all mine|I want to keep everything|get your own}." <he> {turned <his> back|pulled the <thing> closer|carried the <thing> away}.',
        )
        t.paragraph()
        t.say(
            "<friend> {went away without a word|walked off with <fhis> head down|said nothing and left}. <hero> ate and ate. {but nobody was there to talk to|but it did not taste as good as <he> had expected}, and {soon|after a while} <his> {stomach|belly} {hurt|ached}.",
        )
    else:
        t.say("<day>, <he> {got|was given} <a_thing>. <why>." if t.chance(0.3) else
              "<day>, <elder_is> gave <him> <a_thing>. {it was the finest <thing> in the world|<he> had wanted one for a long time}.")  # fmt: skip
        t.say(
            '<he> took it to <place> and met <friend_is>. "{what a beautiful <thing>|that is wonderful}!" said <friend>. "{can I try it|may I hold it|can we play with it together}?"',
            'when <friend_is> saw it, <friend> {gasped|stared}. "{please, may I hold it|can I have a turn}?"',
        )
        t.say(
            '"no!" said <hero>. "{it is mine|you might break it|nobody may touch it but me}."',
            '<hero> {held it behind <his> back|shook <his> head}. "{only I can play with it|it belongs to me}."',
        )
        t.paragraph()
        t.say(
            "<friend> {went away without a word|walked off with <fhis> head down}. <hero> {played|sat} with the <thing> all alone. {it was fun for a little while|at first it was fun}, but {soon it became dull|there was no one to laugh with|the afternoon grew long and quiet}.",
            "so <friend> {went to play with the others|ran off to the others}. <hero> could hear them {laughing|shouting and laughing} in the distance. the <thing> {did not seem so special anymore|suddenly looked rather plain}.",
        )
    t.say(*(SAD + GUILTY))
    t.say(
        '"{why are you all alone|why so gloomy|what happened}?" asked <elder_is>. <hero> told <ehim> everything. "{a thing is twice as good when two enjoy it|when you close your hand, nothing can get out, but nothing can get in|a friend is not something you can keep in a box}," said <elder>.',
        "then <he> remembered how <friend> had {helped <him> when <he> was ill|once waited for <him> in the rain}." ,
    )  # fmt: skip
    t.paragraph()
    t.say(
        "<hero> {took a deep breath|picked up the <thing>|jumped up} and {ran to find|went to look for} <friend>.",
        "the next {morning|day}, <hero> {knocked at <friend>'s door|waited for <friend> by the {gate|big <tree> tree}}.",
    )
    t.say(
        '"I am sorry," <he> said. "{I was selfish|I was mean|I only thought of myself}. {would you like some|let us share it}?"' if treat else
        '"I am sorry," <he> said. "{I was selfish|I was mean|I only thought of myself}. {you can have the first turn|let us play with it together}."',
        '"{here|look}," <he> said {quietly|softly}, and held out the <thing>. "{half of it is for you|I kept the best part for you}. I am sorry."' if treat else
        '"{here|look}," <he> said {quietly|softly}, and held out the <thing>. "{it is more fun with you|you go first}. I am sorry."',
    )  # fmt: skip
    t.say(
        "<friend> {smiled|grinned|beamed}. {everything was good again|all was forgiven}.",
        '"{of course|gladly|thank you}!" said <friend>, and <fhis> face lit up.',
    )
    t.say(*(TOGETHER_WILD if wild else TOGETHER))
    t.say(
        "{and <hero> found that|that was the day when <hero> learned that} {sharing makes a good thing better|half a treat with a friend is sweeter than a whole one alone|joy grows when it is divided}.",
        "since then, {whenever <hero> gets something nice, <he> asks: <he> looks for someone to enjoy it with|<hero> has never eaten a treat alone}.",
        "<hero> was surprised: {by giving something away, <he> had got more than before|the more <he> shared, the happier <he> became}.",
    )  # fmt: skip
