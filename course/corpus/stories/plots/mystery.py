"""Something strange, a wrong guess, a night of watching, a simple truth."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

from course.corpus.stories.feelings import (
    AFRAID,
    EVENING,
)
from course.corpus.stories.people import introduce
from course.corpus.stories.telling import Teller

# A riddle: (what happens, first clue, wrong guess, truth)
_MYSTERIES = (
    (
        "every night, one cookie disappeared from the jar",
        "{crumbs|tiny crumbs} led across the kitchen floor",
        "<friend> must be the thief",
        "a little mouse with five babies lived behind the stove",
    ),
    (
        "somebody tapped on the window every evening",
        "there were scratches on the sill",
        "it was a ghost",
        "a branch of the <tree> tree knocked whenever the wind blew from the west",
    ),
    (
        "the milk bottles were empty every morning",
        "there were small round footprints on the step",
        "the milkman drank it on his rounds",
        "a family of hedgehogs had learned to tip them over",
    ),
    (
        "single socks kept vanishing from the washing line",
        "a <color> thread hung on the gate",
        "the wind had taken them",
        "the neighbor's puppy had lined its basket with eleven socks",
    ),
    (
        "strange music came out of the cellar at night",
        "it only came when it rained",
        "somebody had locked in a musician",
        "the rain dripped into old bottles, and each of them had its own note",
    ),
    (
        "there was a new drawing on the garden wall each morning",
        "silver lines glittered in the sun",
        "an invisible painter was at work",
        "the snails had danced there in the dew",
    ),
    (
        "the scarecrow wore another hat every day",
        "the hats smelled of soap",
        "the scarecrow came alive at night",
        "<elder> could not bear to see it with the same old hat, and changed it on the way to work",
    ),
    (
        "something growled in the cupboard",
        "the growling stopped at mealtimes",
        "a bear had moved in",
        "the cat was raising kittens in a hatbox, and the biggest of them snored",
    ),
    (
        "letters without a name lay on the doorstep, each with a dried flower",
        "the writing leaned to the left",
        "a prince or a pirate had sent them",
        "<friend> was too shy to say thank you aloud",
    ),
    (
        "the church bell rang in the middle of the night",
        "a feather lay on the stairs of the tower",
        "the dead sailors were calling",
        "an owl had chosen the bell rope for its perch",
    ),
)
_WILD_MYSTERIES = (
    (
        "every night, something ate the {berries|mushrooms} by the stream",
        "there were tiny tracks in the mud",
        "<friend> must be the thief",
        "a family of dormice had moved in under the bank",
    ),
    (
        "a deep voice called from the hollow tree",
        "it only called when the wind blew",
        "it was a giant",
        "the wind blew across the hole as one blows on a bottle",
    ),
    (
        "a light danced over the marsh at night",
        "it went out when somebody sneezed",
        "it was a ghost",
        "forty fireflies were practicing for the midsummer ball",
    ),
    (
        "somebody left a pile of nuts at the door each morning",
        "a <color> feather lay beside it",
        "it was a trap",
        "a jay wanted to say thank you for last winter",
    ),
    (
        "the pond hummed in the evening",
        "the humming stopped whenever somebody came near",
        "the water was enchanted",
        "the frogs were secretly rehearsing a song for <hero>'s birthday",
    ),
)


def tell(t: Teller, wild: bool) -> None:
    """Tell it."""
    event, clue, guess, truth = t.pick(_WILD_MYSTERIES if wild else _MYSTERIES)
    hiding = "bush" if wild else "{barrel|curtain|cupboard|door}"
    t.know(event=event, clue=clue, guess=guess, truth=truth)
    introduce(
        t, wild, ("curious", "clever", "brave", "stubborn", "timid", "dreamy", "lively"), hobby=0.2
    )
    t.slots["friend_is"] = (
        t.slots["friend"] if "<friend>" in event + guess + truth else t.slots["friend_is"]
    )
    t.paragraph()
    t.say(
        "one {spring|summer|autumn|winter}, something {strange|odd|puzzling} {began|happened}: <event>.",
        "it all began on a {Monday|Tuesday|Thursday|rainy evening}. <event>.",
        "there was a mystery. <event>.",
    )
    t.say(
        '"{I will find out what is behind it|every riddle has an answer|this is a case for a detective}," said <hero>. <he> {took a notebook and a magnifying glass|looked around carefully|searched for clues}.'
        if not wild
        else '"{I will find out what is behind it|every riddle has an answer}," said <hero>. <he> {looked around carefully|searched for clues}.',
    )
    t.say("{soon|after a while} <he> found {the first clue|a clue}: <clue>.", "and really, <clue>.")
    t.say(
        '"{now it is clear|now I understand}," <he> thought. <guess>!'
        if "<friend>" not in guess
        else "<he> {frowned|thought hard}. was it possible that <friend> was the thief?",
        "{some said|the others were sure} that <guess>, but <hero> {had <his> doubts|was not so sure}.",
    )
    if "<friend>" in guess:
        t.say(
            '"{was it you|did you do it}?" <he> asked. "{how can you think that|no, it was not me}!" said <friend>, {and <fhis> eyes filled with tears|and was deeply hurt}.',
        )
    t.paragraph()
    t.say(
        f"{{that night|the next evening}}, <hero> {{hid behind a {hiding}|crept out of bed|stayed awake}} and {{waited|kept watch}}. {{the minutes crawled|the moon rose|an owl hooted}}.",
        "there was only one way to find out. <hero> {decided to keep watch|kept watch}, and <elder_is> {stayed up with <him>|sat beside <him>}.",
    )
    t.say(
        "<his> eyes were {almost closing|getting heavy} when {it happened|something moved|there was a sound}.",
        "then, {all of a sudden|around midnight}, {there was a noise|something stirred}.",
    )
    t.maybe(0.7, *AFRAID)
    t.say(
        "<he> {held up <his> lamp|tiptoed closer} and looked. and what did <he> see? <truth>!"
        if not wild
        else "<he> tiptoed closer and looked. and what did <he> see? <truth>!",
        "{slowly|carefully}, <he> went to look, and at last <he> understood: <truth>!",
    )
    t.say(
        "<hero> {laughed with relief|shook <his> head and smiled|had to laugh|clapped <his> hands}."
    )
    t.paragraph()
    if "<friend> must" in guess:
        t.say(
            'the first thing <he> did {in the morning|the next day} was to go to <friend>. "I am sorry," <he> said. "{I should not have blamed you without proof|I was wrong to suspect you}." <friend> {forgave <him>|nodded}, and together they {went to see the little thieves|watched the little thieves}.',
        )
        t.say(
            "<hero> had learned {to look first and judge later|never to accuse a friend on a guess}."
        )
    else:
        t.say(
            "{in the morning|at breakfast}, everybody wanted to hear the story, and {everyone laughed|how they laughed}!",
            '"{so simple|that was all}!" said <friend_is>, when <hero> told the story. "{and we had thought of all kinds of things|and we were so afraid}!"',
        )
        t.say(
            "{many a monster is small when you look at it closely|what seems like magic often has a simple reason|those who look for themselves need not be afraid of stories}.",
            "<hero> had learned that {it is better to look than to guess|a little patience and two open eyes can solve almost any riddle|a good question is worth more than ten quick answers}.",
        )
    t.maybe(0.2, *EVENING)
