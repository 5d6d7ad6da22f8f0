"""Something is planted; waiting is hard; care is rewarded."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

from course.corpus.stories.feelings import (
    EVENING,
    HAPPY,
)
from course.corpus.stories.people import introduce
from course.corpus.stories.scenery import DAYS
from course.corpus.stories.telling import Teller

_PLANTS = (
    ("sunflower", "seed", "as tall as the roof", "gave seeds to every bird in the neighborhood"),
    (
        "pumpkin",
        "seed",
        "so big that nobody could lift it alone",
        "was made into soup for the whole street",
    ),
    (
        "apple tree",
        "pip",
        "covered with white blossoms",
        "bore its first three apples, and <hero> gave one to <elder> and one to <friend>",
    ),
    ("bean", "bean", "all the way up the drainpipe", "filled a whole basket with pods"),
    ("tulip", "bulb", "as bright as a flame", "was the first flower of spring"),
    (
        "strawberry plant",
        "seedling",
        "thick and green",
        "gave so many berries that they made nine jars of jam",
    ),
    ("rose bush", "cutting", "full of <color> buds", "filled the evening with its scent"),
    ("oak", "acorn", "just as high as <his> knee", "would still be there in a hundred years"),
    ("tomato plant", "seedling", "heavy with round red fruit", "fed the whole family for a month"),
    (
        "lemon tree",
        "pip",
        "glossy and green",
        "had one tiny yellow lemon, the sourest and best of all",
    ),
)


def tell(t: Teller, wild: bool) -> None:
    """Tell it."""
    plant, seed, grown, gift = t.pick(_PLANTS)
    t.know(plant=plant, seed=seed, grown=grown, gift=gift, day=t.pick(DAYS))
    introduce(
        t, wild, ("impatient", "lively", "curious", "forgetful", "hardworking", "stubborn", "lazy")
    )
    t.paragraph()
    t.say(
        '<day>, <elder_is> gave <him> a {tiny|small|brown} <seed>. "{there is a <plant> asleep in it|if you are patient, it will become a <plant>}," said <elder>.',
        '<day>, <he> found a {little|strange|wrinkled} <seed>. "what is it?" <he> asked <elder_is>. "{a <plant>, if you take good care of it|plant it, and you will see}," said <elder>.',
    )
    t.say(
        "<hero> {dug a hole|made a hole with <his> finger}, {laid|put} the <seed> in it, and {covered it with soft earth|patted the earth flat}. then <he> watered it and {waited|sat down to watch}.",
        "they chose a {sunny|sheltered} spot {by the wall|near the fence}, loosened the soil and planted it.",
    )
    t.say(
        "the next {morning|day}, <he> {ran out|hurried out} to look. there was nothing. the day after, there was {still nothing|nothing again}.",
        "an hour later, <he> {looked|came back}. {nothing had happened|there was only earth}. <he> looked again after supper. nothing!",
    )
    t.say(
        '"{it is broken|it does not work|it is too slow}!" <he> {complained|grumbled}. <he> wanted to dig it up {and see|to look at it}.',
        '"{grow|hurry up}!" <he> {shouted at|ordered} the <seed>. it did not {listen|care}.',
    )
    t.paragraph()
    t.say(
        '"{some things cannot be hurried|it is busy down there, where you cannot see it|roots come first}," said <elder>. "{give it water, light and time|you must trust it a little}."',
        '<friend_is> {laughed|came to see}. "{you do not grow faster either when someone pulls your ears|it has its own clock}," said <friend>.',
    )
    t.say(
        "so <hero> {watered it every evening|carried water each morning}, {pulled out the weeds|picked off the snails} and {kept the {birds|ants} away|built a little fence around it}. and {every day|while <he> worked} <he> {told it a story|sang to it|hummed a song}.",
        "so <he> learned to wait. <he> {counted the days on the wall|made a mark on a stick each morning}. when the {nights were cold|frost came}, <he> covered the spot with {straw|leaves}.",
    )
    t.say(
        "{then, one morning|after twelve days|one day, after a warm rain}, {a tiny green tip|a pale, curled shoot} {poked|peeped} out of the ground!",
        "and {one morning|on the ninth day}, there it was: a {tiny|single} green leaf, no bigger than {a fingernail|the ear of a mouse}.",
    )
    t.say(*HAPPY)
    t.paragraph()
    t.say(
        "{weeks went by|spring turned into summer|the days grew longer}. the <plant> {grew and grew|did not stop growing}, until it was <grown>. it <gift>.",
        "the little shoot grew {stronger and stronger|taller and taller}, and {in the end|one day} the <plant> was <grown>. it <gift>.",
    )
    t.say(
        '"{it was worth waiting for|I am glad that I did not dig it up}," said <hero>.',
        "<hero> had learned that {good things need time|you cannot pull a flower out of the ground to make it grow}.",
        "{and|so} <hero>, who {could never wait|had never been patient}, learned from a <seed> that {patience bears fruit|little by little becomes a lot}.",
    )
    t.maybe(0.2, *EVENING)
