"""Something is made in steps; a mishap; somebody helps; it is given or used."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

from course.corpus.stories.feelings import (
    ANGRY,
    HAPPY,
    SAD,
)
from course.corpus.stories.people import introduce
from course.corpus.stories.scenery import DAYS
from course.corpus.stories.telling import Teller

# What is made: (name, for which occasion, steps, mishap, what saves it)
_PROJECTS = (
    ("birdhouse", "<elder>'s birthday", ("<he> {sawed|cut} the boards", "<he> hammered in the nails, {one by one|tap, tap, tap}", "<he> painted the roof <color>"), "the roof {came out crooked|would not fit}", "<elder_is> showed <him> how to {measure twice and cut once|hold the saw straight}"),
    ("cake", "<friend>'s birthday", ("<he> {cracked|broke} the eggs", "<he> {stirred the flour and the butter|beat the batter until <his> arm was tired}", "<he> licked the spoon"), "the cake {burned at the edges|sank in the middle like a bowl}", "<elder_is> {filled the hole with strawberries|covered it with cream and cherries}"),
    ("puppet theater", "the school party", ("<he> painted a {castle|dark forest} on a big box", "<he> sewed a curtain from an old <color> sheet", "<he> gave each puppet a {funny nose|yarn beard}"), "the curtain {got stuck|tore in two}", "<friend_is> {held it up with clothespins|stitched it with quick fingers}"),
    ("raft", "an expedition to the island in the pond", ("<he> {dragged logs to the shore|gathered logs}", "<he> tied them together with rope", "<he> made a flag from a <color> {shirt|scarf}"), "the knots came {undone|loose} and the logs floated apart", "<elder_is> taught <him> a {sailor's|proper} knot"),
    ("quilt", "<his> baby cousin", ("<he> cut squares from old {shirts|dresses and curtains}", "<he> sewed them together, stitch by stitch", "<he> stuffed it with {wool|soft cotton}"), "<he> pricked <his> finger and sewed a sleeve to it by mistake", "<elder_is> laughed and {unpicked the seam with <him>|turned the sleeve into a pocket}"),
    ("soup", "a cold evening", ("<he> chopped {carrots|leeks} and {potatoes|turnips}", "<he> {added|threw in} beans and a bay leaf", "<he> stirred the pot with a long spoon"), "<he> put in {far too much salt|a whole jar of pepper}", "<elder_is> dropped in {two more potatoes|some apples}, and they {drank up the salt|made it mild}"),
    ("scarecrow", "the vegetable patch", ("<he> stuffed a shirt with straw", "<he> drew a face on a {pumpkin|sack}", "<he> found a {torn hat|pair of old boots}"), "it {fell over at the first gust|frightened nobody, and a <bird> sat down on its nose}", "<friend_is> {tied bells and tin lids to its arms|helped <him> dig a deeper hole for the pole}"),
    ("card", "<elder>'s birthday", ("<he> folded thick paper", "<he> drew {a ship|an elephant|a garden full of <flowers>}", "<he> {cut out stars|wrote every letter as neatly as <he> could}"), "the {ink|paint} {spilled all over it|ran into a blot}", "<friend_is> looked at the blot and {turned it into a whale|made it into a dark, starry night}"),
    ("snow lantern", "the longest night of the year", ("<he> rolled {dozens of|thirty} snowballs", "<he> stacked them in a ring", "<he> put a candle in the middle"), "the whole thing {caved in|collapsed}", "<friend_is> showed <him> how to pack the snow with {a little water|wet mittens}"),
    ("necklace", "<friend>'s birthday", ("<he> {gathered|picked out} {shells|wooden beads|painted seeds}", "<he> {drilled|poked} a tiny hole in each", "<he> threaded them on a <color> string"), "the string broke, and everything rolled {under the cupboard|across the floor}", "<elder_is> {doubled the thread|found a stronger thread} and helped <him> gather every piece"),
    ("drum", "the summer parade", ("<he> {found|cleaned out} an old {bucket|barrel}", "<he> stretched a skin of <color> cloth across it", "<he> carved two drumsticks from a <tree> branch"), "the cloth {split|ripped} at the first beat", "<friend_is> {brought a stronger piece of canvas|had the idea to use an old raincoat}"),
)  # fmt: skip
_WILD_PROJECTS = (
    ("nest", "the winter", ("<he> gathered twigs and straw", "<he> wove them in and out", "<he> lined it with {moss|soft feathers}"), "the wind {blew it apart|scattered half of it}", "<elder_is> showed <him> how to {press mud into the gaps|tuck the ends under}"),
    ("bridge", "everybody who had to cross the stream", ("<he> rolled a log to the bank", "<he> {pushed|dragged} it across with a long pole", "<he> covered it with {bark|flat stones}"), "the log {rolled over|slipped} and fell into the water with a splash", "<friend_is> {wedged it tight with stones|held the other end}"),
    ("raft", "a trip down the river", ("<he> {collected|gathered} branches", "<he> tied them together with vines", "<he> made a sail from a {big leaf|burdock leaf}"), "the vines came loose and the branches floated apart", "<elder_is> taught <him> a better knot"),
    ("garland", "the midsummer feast", ("<he> picked <flowers> and ferns", "<he> braided the stems", "<he> tucked in {berries|bright leaves}"), "a gust of wind {tore it to pieces|carried it into the pond}", "<friend_is> {fished it out and dried it in the sun|brought stronger grass to braid with}"),
    ("shelter", "rainy days", ("<he> leaned sticks against a <tree> tree", "<he> covered them with {bark|ferns}", "<he> swept the floor with <his> tail"), "it {leaked|fell down with a crash}", "<elder_is> said that the big sticks must come first, and showed <him> how"),
    ("present", "<friend>'s birthday", ("<he> {found|chose} a smooth, round stone", "<he> {polished it with sand|washed it in the stream}", "<he> painted it with {berry juice|red clay}"), "the rain washed all the paint away", "<elder_is> told <him> to {mix the paint with resin|scratch the picture into the stone}"),
)  # fmt: skip


def tell(t: Teller, wild: bool) -> None:
    """Tell it."""
    thing, occasion, steps, mishap, rescue = t.pick(_PROJECTS)
    if wild:  # animals have no school and no kitchens
        thing, occasion, steps, mishap, rescue = t.pick(_WILD_PROJECTS)
    t.know(thing=thing, occasion=occasion, mishap=mishap, day=t.pick(DAYS))
    introduce(t, wild, ("impatient", "clumsy", "hardworking", "generous", "stubborn", "cheerful", "dreamy", "clever", "helpful"))  # fmt: skip
    t.paragraph()
    t.say(
        "<day>, <hero> had an idea. <he> would make a <thing> for <occasion>!",
        '<day>, <hero> said, "I am going to make a <thing> for <occasion>, {all by myself|and it will be the best one ever}."',
        "there was {something that <hero> wanted very much|one thing that <hero> had been thinking about for days}: to make a <thing> for <occasion>.",
    )
    first, second, third = steps
    t.say(f"first, {first}. then {second}. {{after that|finally|last of all}}, {third}.")
    t.maybe(0.4, "<he> {hummed while <he> worked|worked until <he> was tired|forgot the time}.")
    t.say("but {oh dear|then|suddenly|when <he> was nearly done}, <mishap>!" if t.chance(0.5) else "then something went wrong: <mishap>.")  # fmt: skip
    t.say(*(SAD + ANGRY))
    t.maybe(
        0.6,
        '"{it is ruined|I am no good at this|I give up}!" <he> {cried|said}.',
        "<he> wanted to throw the whole thing away.",
    )
    t.paragraph()
    t.know(rescue=rescue)
    t.maybe(0.6, '"{do not worry|wait|let me see}," said somebody behind <him>.')
    t.say("<rescue>." if t.chance(0.5) else "luckily, <rescue>.")
    t.say(
        "{so|and so}, <hero> {tried again|started over}, more slowly this time. {little by little|bit by bit|before long}, the <thing> took shape.",
        "<hero> {wiped <his> eyes|rolled up <his> sleeves|took a deep breath} and began once more. this time it {worked|held|came out right}.",
    )
    t.say(
        "{at last|at the end of the day|by evening}, the <thing> was {ready|finished}. it was {a little crooked|not perfect}, but {it was beautiful|<he> had made it}.",
        "when it was done, <he> {stepped back|looked at it from every side}. it was the {finest|loveliest} <thing> <he> had ever seen.",
    )
    t.say(*HAPPY)
    t.say(
        "everybody {clapped|admired it|said that they had never seen a better one}. \"{shall I tell you the secret|do you know the secret}?\" said <hero>. \"{you may fail, but you must not stop|a mistake is only the middle of the story}.\"",
        "<hero> had learned that {a mistake is only a step on the way|good things take time|help is nothing to be ashamed of}.",
        "from then on, whenever something went wrong, <hero> {smiled and said, \"let us try again\"|remembered the <thing> and did not give up}.",
    )  # fmt: skip
