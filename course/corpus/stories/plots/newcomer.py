"""Somebody new is left out; one reaches out; the newcomer has a gift."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

from course.corpus.stories.feelings import (
    TOGETHER,
    TOGETHER_WILD,
)
from course.corpus.stories.people import introduce
from course.corpus.stories.scenery import DAYS
from course.corpus.stories.telling import Teller

# Somebody new: (what is different, what they are good at, how it helps)
_NEWCOMERS = (
    (
        "spoke another language and knew only {three|ten} words of ours",
        "could draw anything with a piece of chalk",
        "drew a {map|picture} on the pavement, and everyone understood",
    ),
    (
        "wore {big round glasses|boots that were too big}",
        "knew the names of all the stars",
        "found the way home by the stars when {the path vanished in the dark|they were lost}",
    ),
    (
        "hardly ever spoke",
        "could imitate every bird",
        "whistled, and {the runaway parrot|a lost duckling} came back at once",
    ),
    (
        "used a wheelchair with <color> wheels",
        "threw a ball straighter than anyone else",
        "won the match with one long, perfect throw",
    ),
    (
        "stuttered when {people looked|everyone listened}",
        "sang like a nightingale",
        "sang at the festival, and there was not a single stumble in the song",
    ),
    (
        "came from a circus and had never stayed anywhere for long",
        "could walk on a rope",
        "walked along the top of the wall and fetched down the {kite|kitten}",
    ),
    (
        "had a {prickly|quiet} way about things and did not like loud noise",
        "could mend whatever was broken",
        "repaired the {swing|clock|wagon} with a hairpin and a bit of string",
    ),
)
_WILD_NEWCOMERS = (
    (
        "had come from the other side of the mountains",
        "could smell rain before it came",
        "led everyone to the high ground before the flood",
    ),
    (
        "had only three legs",
        "could dig faster than anyone else",
        "dug out the little ones when the {burrow|tunnel} fell in",
    ),
    (
        "slept all day and was awake all night",
        "could see in the dark",
        "found the lost {duckling|fawn} in the middle of the night",
    ),
    (
        "hardly ever spoke",
        "could imitate every bird",
        "called like a hawk and {chased away the weasel|frightened the crows from the seeds}",
    ),
    (
        "had a torn ear and a very gruff voice",
        "knew which {mushrooms|berries} were safe to eat",
        "{stopped them|warned them} just before they ate the poisonous ones",
    ),
)


def tell(t: Teller, wild: bool) -> None:
    """Tell it."""
    differs, gift, deed = t.pick(_WILD_NEWCOMERS if wild else _NEWCOMERS)
    t.know(differs=differs, gift=gift, deed=deed, day=t.pick(DAYS))
    introduce(
        t,
        wild,
        ("kind", "shy", "curious", "cheerful", "gentle", "generous"),
        hobby=0.2,
    )
    t.paragraph()
    t.slots["friend_is"] = t.slots["friend"]
    t.say(
        "<day>, a new <friend_kind> {came to the school|moved in next door|came to town}. <Fhis> name was <friend>, and <fhe> <differs>."
        if not wild
        else "<day>, a strange <friend_kind> whom nobody knew {came to live there|settled down nearby}. <Fhis> name was <friend>, and <fhe> <differs>.",
    )
    t.say(
        "the others {whispered|stared} and {kept away|went on with their game}.",
        '"{how odd|what a strange <friend_kind>}," {said the others|the others said}, and nobody {wanted to play with <fhim>|sat down beside <fhim>}.',
        "at {playtime|noon}, <friend> {stood|sat} alone {by the fence|under a tree} and {looked at the ground|watched the others}."
        if not wild
        else "<friend> sat alone under a tree and watched the others.",
    )
    t.say(
        "<hero> {saw it|noticed}, and it {gave <him> a pang|made <him> sad}. <he> remembered how it felt to be {alone|left out|the new one}.",
        "<hero> {thought about it all day|could not stop thinking of it}. how would <he> feel, {all alone in a strange place|without a single friend}?",
    )
    t.paragraph()
    t.say(
        '{so|the next day}, <he> {walked over|went up to <friend>}. "{hello|hi}," <he> said. "{would you like to play with me|do you want to sit with us|would you like to share my <food>}?" <friend> {nodded|smiled} shyly.',
        "<he> {took a deep breath|gathered <his> courage}, sat down next to <friend> and {held out some <food>|offered half of <his> lunch}. for a while {neither of them said anything|they just ate}. then <friend> smiled.",
    )
    t.say(
        "{soon|before long} <hero> {discovered something|found out something}: <friend> <gift>!",
        '"{what do you like to do|what are you good at}?" asked <hero>. it turned out that <friend> <gift>.',
    )
    t.say(
        "{a few days later|that same week}, {there was trouble|something happened}. everybody was {worried|upset}, and nobody knew what to do. but <friend> <deed>.",
        "and it was {lucky|a good thing} too, for {a few days later|soon after that} <friend> <deed>.",
    )
    t.say(
        '{the others|everyone} {cheered|could hardly believe it}. "{we were wrong about you|we should have asked you to join us long ago}," they said.',
        "{after that|from then on}, everyone wanted to be {<friend>'s friend|friends with <friend>}. but <fhe> {liked <hero> best|never forgot who had come first}.",
    )
    t.say(*(TOGETHER_WILD if wild else TOGETHER))
    t.say(
        '{sometimes|you see}, {all it takes is one kind word|a single "hello" can change everything}.',
        "<hero> had learned that {someone who is different may have the best gifts of all|a stranger is a friend whom you have not met yet}.",
        "and so a kind {word|deed} {made two hearts happy|turned a stranger into a friend}.",
    )
