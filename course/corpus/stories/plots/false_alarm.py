"""The one who cried wolf, in new clothes (after Aesop)."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

from course.corpus.stories.feelings import (
    AFRAID,
    GUILTY,
    SAD,
)
from course.corpus.stories.people import introduce
from course.corpus.stories.telling import Teller

_ALARMS = (
    (
        "the sheep on the hill",
        "a wolf",
        "the wolf is coming",
        "the villagers",
        "scattered the flock",
    ),
    ("the harbor wall", "a flood", "the water is rising", "the fishermen", "carried off two boats"),
    (
        "the hen house",
        "a fox",
        "there is a fox among the hens",
        "the neighbors",
        "took the fattest hen",
    ),
    ("the haystacks", "a fire", "the hay is on fire", "the farmers", "burned down the oldest barn"),
    (
        "the berry patch",
        "a bear",
        "a bear is eating the berries",
        "the pickers",
        "ate up every single berry",
    ),
    (
        "the beehives",
        "a swarm of hornets",
        "the hornets are coming",
        "the beekeepers",
        "emptied three hives",
    ),
)


def tell(t: Teller, wild: bool) -> None:
    """Tell it."""
    post, danger, shout, helpers, damage = t.pick(_ALARMS)
    t.know(post=post, danger=danger, shout=shout, helpers=helpers, damage=damage)
    introduce(t, wild, ("mischievous", "impatient", "lively", "proud", "lazy"), hobby=0.2)
    t.paragraph()
    t.say(
        "it was <his> {task|job} to watch over <post>. it was {a dull job|very boring}: {nothing ever happened|all day long, only the clouds moved}.",
        "one {spring|summer|autumn}, <hero> was asked to guard <post>. at first <he> was proud, but soon <he> {yawned|grew bored}.",
    )
    t.say(
        'so one day <he> {jumped up|ran down the path} and shouted, "help! help! <shout>!"',
        '"I know how to have some fun," <he> thought, and <he> cried as loudly as <he> could, "help! <shout>!"',
    )
    t.say(
        '<helpers> {dropped everything|left their work} and came running {with sticks and buckets|out of breath}. but there was {nothing to see|no danger at all}. <hero> {laughed|grinned}. "{I was only joking|you should see your faces}!"',
    )
    t.say(
        'two days later, <he> did it again, and again they all came running. this time they were {angry|very cross}. {nobody laughed but <hero>|"one does not joke about such things," said <elder_is>}.',
        'it was so much fun that <he> did it again {the next day|a week later}. <elder_is> {shook <ehis> head|frowned}. "if you lie too often, {nobody will believe you when you tell the truth|your true words will sound like lies}."',
    )
    t.paragraph()
    t.say(
        "{then|but} one evening, {something moved in the dusk|there was a strange noise}. this time it was real. it was <danger>!",
        "not long after, <he> looked up and {froze|turned pale}. there really was <danger>!",
    )
    t.say(*AFRAID)
    t.say(
        '"help! <shout>! {it is true this time|I am not joking}!" <he> {screamed|cried}. but <helpers> only {shrugged|went on with their work}. "{there <he> goes again|we will not be fooled a third time}," they said.',
    )
    t.say(
        "nobody came, and so <danger> <damage>.",
        "<hero> {shouted until <his> voice was gone|ran from door to door}. when at last {somebody believed <him>|<friend_is> came to look}, it was too late: <danger> had come and gone. it <damage>."
        if "fire" not in danger and "flood" not in danger
        else "nobody came, and so <danger> <damage>.",
    )
    t.paragraph()
    t.say(*(SAD + GUILTY))
    t.say(
        '"why did nobody believe me?" <he> {sobbed|asked}. <elder> {put a hand on <his> shoulder|sat down beside <him>}. "{trust is like a glass|trust is like a bridge}: {quickly broken, and slow to mend|it takes long to build, and one lie can bring it down}," <ehe> said.',
    )
    t.say(
        "<hero> {said sorry to everyone|went to all of them to say sorry} and {helped to repair the damage|worked hard to make up for it}. {it took a long time, but|little by little,} they {trusted <him> again|believed <him> again}.",
        "from then on, <he> {only called for help when <he> really needed it|kept to the truth}, and {after a year|slowly} people {listened to <him> again|began to trust <him> again}.",
    )
