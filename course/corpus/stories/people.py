"""Who is in a story: a hero with a trait, a friend, an elder, and the words that refer to them.

Slots: <hero> <he> <him> <his> <himself> (capital <He>, <His> after a quote), the same for the
friend with f (<friend> <fhe> <fhim> <fhis>) and for the elder with e (<elder> <ehe> ...);
<hero_kind> is "girl", "boy" or an animal, <friend_is> and <elder_is> introduce the others.
"""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

from course.corpus.stories.scenery import ANIMAL_HOMES, HOMES, TOWN_PLACES, WILD_PLACES
from course.corpus.stories.telling import Teller
from course.corpus.stories.words import (
    ANIMALS,
    BIRDS,
    BOYS,
    COLLECTED,
    COLORS,
    FLOWERS,
    GAMES,
    GIRLS,
    INSECTS,
    JOBS,
    SURNAMES,
    TREASURES,
    TREATS,
    TREES,
)

_PRONOUNS = {
    "she": ("she", "her", "her", "herself"),
    "he": ("he", "him", "his", "himself"),
}

# trait: what shows it
TRAITS = {
    "curious": [
        "<he> wanted to know {why the moon changed its shape|how snails carried their houses|where the wind went at night}.",
        "{questions bubbled out of <him> all day long|there was no drawer that <he> had not looked into|every closed door made <him> wonder}.",
    ],
    "shy": [
        "when strangers spoke to <him>, <he> {looked at <his> feet|could hardly whisper|blushed}.",
        "<he> liked quiet corners, and <he> {often had a good idea but seldom said it aloud|watched the others more than <he> played}.",
    ],
    "brave": [
        "<he> {had once chased a goose out of the kitchen|climbed trees that made others dizzy|was not afraid of spiders, thunder or the dark}.",
    ],
    "stubborn": [
        "when <he> had made up <his> mind, {not even a team of horses could change it|that was that}.",
        '"no" was <his> favorite word.',
    ],
    "impatient": [
        "waiting was the hardest thing in the world for <him>.",
        "<he> {opened presents early|ate soup before it was cool|counted the minutes, then the seconds}.",
    ],
    "kind": [
        "<he> {carried worms off the road after the rain|never forgot a birthday|always kept a crust for the birds}.",
        "if someone was sad, <he> {noticed it first|sat down beside them}.",
    ],
    "messy": [
        "<his> {corner|room} looked as if a storm had passed through it.",
        "<he> {left things wherever <he> happened to drop them|never put anything back in its place}.",
    ],
    "proud": [
        "<he> {liked to win|told everyone about the things that <he> did well|did not like to be helped}.",
    ],
    "cheerful": [
        "<he> {hummed while <he> brushed <his> hair|laughed so loudly that others had to join in|could find something good in a rainy Monday}.",
    ],
    "dreamy": [
        "<he> {saw castles in the clouds|forgot <his> breakfast because <he> was thinking of dragons|could gaze out of a window for an hour}.",
    ],
    "clumsy": [
        "<he> {tripped over <his> own feet|bumped into things that had always stood there|had spilled more milk than anyone could count}.",
    ],
    "clever": [
        "<he> {could solve any riddle|always thought twice before <he> spoke|was good at finding a way around a problem}.",
    ],
    "generous": [
        "<he> {gave away the biggest slice|could not enjoy anything alone|lent out everything <he> had}.",
    ],
    "greedy": [
        "<he> always {took the biggest piece|wanted one more|asked for seconds before the others had firsts}.",
    ],
    "grumpy": [
        "<he> {frowned at sunshine and at rain alike|got out of bed on the wrong side nearly every morning}.",
    ],
    "lively": [
        "<he> {never walked when <he> could run|could not sit still, not even for supper|jumped down every stair}.",
    ],
    "forgetful": [
        "<he> {put salt in the tea and socks in the breadbox|went upstairs and forgot why|had lost four hats since spring}.",
    ],
    "bossy": [
        "<he> always knew how everyone else should do things.",
        "in every game, <he> made the rules.",
    ],
    "gentle": [
        "even {butterflies|the wildest cat} came to sit on <his> knee.",
        "<he> {spoke softly|closed doors without a sound|had never stepped on an ant on purpose}.",
    ],
    "timid": [
        "a {creaking stair|falling leaf|sudden noise} was enough to make <him> jump.",
        "<he> {checked under the bed each night|liked to know what would happen next}.",
    ],
    "helpful": [
        "<he> {held doors, carried baskets and found lost glasses|set the table without being asked}.",
    ],
    "mischievous": [
        '<he> {tied shoelaces together under the table|hid around corners just to shout "boo"|was always up to something}.',
        "{pranks|tricks and jokes} were what <he> liked best.",
    ],
    "careful": [
        "<he> {looked both ways twice|tied double knots|sorted <his> pencils by length}.",
    ],
    "hardworking": [
        "<he> {was up before the rooster|never left a job half done}.",
    ],
    "lazy": [
        '<he> {would rather nap than do anything at all|said "later" so often that it might have been <his> name}.',
    ],
}

HOBBIES = [
    "<he> collected <collected> and kept them in a {shoebox|jar|cigar box|biscuit tin}.",
    "more than anything, <he> {loved|enjoyed} playing <game> with <friend_is>.",
    "<his> favorite color was <color>, and <his> favorite food was <treat>.",
    "on {Sundays|weekends|long evenings}, <he> {played <game>|looked for <insects>|baked <treat>} with <friend_is>.",
    "one day <he> wanted to become a <job>.",
]

WILD_HOBBIES = [
    "<he> collected {acorns|smooth pebbles|feathers|pine cones|snail shells} and hid them {under a stone|in the moss|at home}.",
    "more than anything, <he> {loved|enjoyed} playing {hide-and-seek|tag|leapfrog|explorers} with <friend_is>.",
    "on {long|warm|quiet} evenings, <he> {watched the fireflies|listened to the <bird>|counted the stars} with <friend_is>.",
    "<his> favorite food was {fresh|sweet|crunchy} <food>.",
]


def cast(t: Teller, animals: float = 0.3) -> bool:
    """Choose hero, friend and elder and set their slots; return True if they are animals.

    Args:
        t: the story that they are for.
        animals: the probability that they are.
    """
    words = {
        "color": COLORS,
        "flowers": FLOWERS,
        "tree": TREES,
        "bird": BIRDS,
        "insect": INSECTS,
        "treat": TREATS,
        "game": GAMES,
        "job": JOBS,
        "collected": COLLECTED,
    }
    for slot, choices in words.items():
        t.slots[slot] = t.pick(choices)
    t.slots["insects"] = t.slots["insect"].removesuffix("y") + (
        "ies" if t.slots["insect"].endswith("y") else "s"
    )
    wild = t.chance(animals)
    t.slots["place"] = t.pick(WILD_PLACES if wild else TOWN_PLACES)
    if wild:
        _animals(t)
    else:
        _children(t)
    return wild


def refer(t: Teller, prefix: str, pronoun: str) -> None:
    """Set the pronouns of a person: prefix "" hero, "f" friend, "e" elder, or another."""
    he, him, his, himself = _PRONOUNS[pronoun]
    slots = {"he": he, "him": him, "his": his, "himself": himself}
    for name, word in slots.items():
        t.slots[prefix + name] = word
    t.slots[(prefix + "he").capitalize()] = he.capitalize()
    t.slots[(prefix + "his").capitalize()] = his.capitalize()


def _children(t: Teller) -> None:
    girl = t.chance(0.5)
    refer(t, "", "she" if girl else "he")
    # Mostly a friend of the other kind, so that "he" and "she" tell them apart.
    friend_girl = girl if t.chance(0.25) else not girl
    refer(t, "f", "she" if friend_girl else "he")
    names = t.sample(GIRLS if girl else BOYS, 2)
    friend = names[1] if girl == friend_girl else t.pick(GIRLS if friend_girl else BOYS)
    t.slots.update(hero=names[0], friend=friend)
    t.slots["hero_kind"] = "girl" if girl else "boy"
    t.slots["friend_kind"] = "girl" if friend_girl else "boy"
    t.slots["food"] = "<treat>"
    relation = "sister" if friend_girl else "brother"
    t.know(
        friend_is="{<his> friend|<his> best friend|<his> {little|older|big} "
        + relation
        + "|<his> cousin|<his> classmate|<his> {neighbor|friend from next door}} <friend>",
        food="<treat>",
    )
    woman = t.chance(0.5)
    refer(t, "e", "she" if woman else "he")
    surname = t.pick(SURNAMES)
    given = t.pick(GIRLS if woman else BOYS)
    if woman:
        options = [
            ("Grandma", "<his> grandmother", 3),
            ("Mom", "<his> mother", 3),
            (f"Aunt {given}", f"<his> aunt {given}", 1),
            (f"Mrs. {surname}", f"<his> neighbor, Mrs. {surname},", 2),
            (f"Miss {surname}", f"<his> teacher, Miss {surname},", 1),
        ]
    else:
        options = [
            ("Grandpa", "<his> grandfather", 3),
            ("Dad", "<his> father", 3),
            (f"Uncle {given}", f"<his> uncle {given}", 1),
            (f"Mr. {surname}", f"<his> neighbor, Mr. {surname},", 2),
            (f"Mr. {surname}", f"<his> teacher, Mr. {surname},", 1),
        ]
    elder, elder_is, _ = t.pick([option for option in options for _ in range(option[2])])
    t.know(elder=elder, elder_is=elder_is)
    t.know(home=t.pick(HOMES))


def _animals(t: Teller) -> None:
    kinds = t.sample(list(ANIMALS), 3)
    hero_female, friend_female = t.chance(0.5), t.chance(0.5)
    refer(t, "", "she" if hero_female else "he")
    refer(t, "f", "she" if friend_female else "he")
    names, lair, food, moved = ANIMALS[kinds[0]]
    friend_names = ANIMALS[kinds[1]][0]
    hero = t.pick(names.split())
    friend = t.pick([name for name in friend_names.split() if name != hero])
    t.slots.update(hero=hero, friend=friend, hero_kind=kinds[0], friend_kind=kinds[1])
    t.slots.update(lair=lair, food=food, moved=moved)
    t.know(friend_is="{<friend> the <friend_kind>|<his> friend <friend>, a <friend_kind>,}")
    woman = t.chance(0.5)
    refer(t, "e", "she" if woman else "he")
    old = kinds[2].split()[0].capitalize()  # a lion cub grown old is a lion
    title = t.pick(("Grandmother", "Mother", "Old Mrs.") if woman else ("Grandfather", "Old Mr."))
    t.know(
        elder=f"{title} {old}", elder_is=f"wise {title.lower() if 'Old' in title else title} {old}"
    )
    if "Old" in title:
        name = title.split()[1]
        t.know(elder=f"{name} {old}", elder_is=f"{{wise|kind|gray}} old {name} {old}")
    t.know(home=t.pick(ANIMAL_HOMES))


def introduce(t: Teller, wild: bool, traits: tuple[str, ...], hobby: float = 0.45) -> None:
    """Say who the hero is, where <he> lives, and what shows <his> trait (slot <trait>)."""
    trait = t.pick(traits)
    t.slots["trait"] = trait
    size = t.pick(("little", "young", "small"))
    if wild:
        t.slots["size"] = (
            "" if "cub" in t.slots["hero_kind"] or "kitten" in t.slots["hero_kind"] else size
        )
        t.say(
            "once upon a time, a <trait> <size> <hero_kind> named <hero> lived <home>.",
            "<home>, there lived a <trait> <size> <hero_kind> {called|named} <hero>.",
            "<hero> was a <size> <hero_kind> who had a {cozy|snug|tidy|small} <lair> <home>."
            " everyone knew that <he> was <trait>.",
            "there was once a <size> <hero_kind> named <hero>, {as <trait> as could be|who was very <trait>}. <he> lived <home>.",
        )
    else:
        t.slots["size"] = size
        t.say(
            "once upon a time, there was a <trait> <size> <hero_kind> named <hero> who lived <home>.",
            "<hero> was a <trait> <hero_kind> who lived <home>.",
            "<home>, there lived a <hero_kind> {called|named} <hero>, who was very <trait>.",
            "there was once a <trait> <hero_kind> named <hero>. <he> lived {with <his> {family|parents|mother and father|grandparents|big family}} <home>.",
            "<hero> was {five|six|seven|eight|nine} years old, and {everybody|everyone} agreed that <he> was <trait>. <he> lived <home>.",
            "a <trait> <hero_kind> named <hero> lived <home>.",
        )
    t.maybe(0.8, *TRAITS[trait])
    t.maybe(hobby, *(WILD_HOBBIES if wild else HOBBIES))


def treasure(t: Teller) -> None:
    """Choose something to be fond of: slots <thing>, <a_thing> (at first mention), <why>."""
    thing, looks, why = t.pick(TREASURES)
    t.know(thing=thing, a_thing=looks, why=why)
