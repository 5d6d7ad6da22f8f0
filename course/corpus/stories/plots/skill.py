"""Failures, advice, practice, success."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

from course.corpus.stories.feelings import (
    ANGRY,
    EVENING,
    HAPPY,
    SAD,
)
from course.corpus.stories.people import introduce
from course.corpus.stories.scenery import DAYS
from course.corpus.stories.telling import Teller

# A skill: (to do, it, two failures, advice, success)
_SKILLS = (
    (
        "ride a bicycle",
        "riding",
        (
            "the wheel wobbled, and <he> {landed in a hedge|tumbled onto the grass}",
            "<he> {rolled two yards|got as far as the mailbox} and tipped over",
        ),
        "look ahead, not at your feet",
        "<he> {sailed|rolled} down the {street|lane} with the wind in <his> hair",
    ),
    (
        "swim",
        "swimming",
        (
            "<he> {swallowed a mouthful of water|sank like a stone} and came up coughing",
            "<he> splashed so hard that {everyone got wet|the ducks flew away}, but <he> went nowhere",
        ),
        "lie back, and let the water carry you",
        "<he> {glided|paddled} all the way {across the pool|to the other side}",
    ),
    (
        "whistle",
        "whistling",
        (
            "nothing came out but {air|spit}",
            "<he> {puffed|blew} until <he> was dizzy, and the {dog|cat} just stared at <him>",
        ),
        "make a tiny round door with your lips",
        "a clear, bright note {flew|rang} out, and a <bird> answered it",
    ),
    (
        "play the violin",
        "playing",
        (
            "it {screeched|howled} like a {cat with a sore tail|rusty gate}",
            "the bow {slid off|jumped from string to string}, and the neighbors closed their windows",
        ),
        "play slowly, and listen to every note",
        "the melody floated through the open window, and people in the street {stopped|stood still} to listen",
    ),
    (
        "knit",
        "knitting",
        (
            "<he> dropped {one stitch|three stitches}, and the whole row {came undone|ran away}",
            "<he> {tied <himself> to the chair|made a knot as big as a fist}",
        ),
        "count each stitch aloud, and never hurry",
        "a {lumpy|warm} <color> scarf grew longer and longer until it reached the floor",
    ),
    (
        "skate",
        "skating",
        (
            "<his> feet slid apart, and <he> sat down on the ice with a bump",
            "<he> {spun around twice|clung to the railing} and then fell on <his> {knees|bottom}",
        ),
        "bend your knees, and push with one foot at a time",
        "<he> {swept|flew} in a big circle over the sparkling ice",
    ),
    (
        "bake bread",
        "baking",
        (
            "the loaf came out {as flat as a plate|as hard as a brick}",
            "the dough stuck to {the bowl, the table and <his> hair|<his> fingers like glue}",
        ),
        "be patient with the dough, for it likes to sleep before it works",
        "the bread rose, round and golden, and its smell {filled the whole house|drew the neighbors to the door}",
    ),
    (
        "juggle",
        "juggling",
        (
            "all three balls {rained down on <his> head|rolled under the sofa}",
            "one ball {hit the lamp|knocked over a glass of milk}",
        ),
        "throw the next one when the last is at the top",
        "the balls {flew|danced} through the air in a perfect rainbow",
    ),
    (
        "tie a bow",
        "tying",
        (
            "the loops {slipped apart|fell open}",
            "<he> made a knot so tight that <he> had to {hop home in one shoe|cut it open}",
        ),
        "make one ear of a rabbit, then let the other run around the tree",
        "two neat loops sat on each shoe like butterflies",
    ),
    (
        "dive from the high board",
        "diving",
        (
            "<he> {held <his> nose and|} climbed down again",
            "<he> landed flat on <his> belly with a loud smack",
        ),
        "put your hands together and follow them",
        "<he> {cut|slipped} into the water like an arrow",
    ),
    (
        "row a boat",
        "rowing",
        (
            "the boat went {round and round|in circles}",
            "<he> {lost an oar|splashed <elder> from head to toe}",
        ),
        "pull both oars together, and do not look at the water but at the shore",
        "the boat {shot|glided} straight across the lake",
    ),
    (
        "stand on <his> hands",
        "balancing",
        (
            "<he> {toppled over|rolled into the flower bed}",
            "<his> arms {folded like paper|gave way} and <he> bumped <his> nose",
        ),
        "spread your fingers, and look at one spot",
        "<he> stood upside down so long that <he> could count to {ten|twelve|twenty}",
    ),
    (
        "read",
        "reading",
        (
            "the letters {danced before <his> eyes|looked like ants}",
            '<he> {mixed up|muddled} b and d and read "bog" instead of "dog"',
        ),
        "put your finger under each word, and say it to yourself",
        "the letters turned into words, and the words into a story about {pirates|a dragon|a talking horse}",
    ),
    (
        "draw a horse",
        "drawing",
        (
            "the horse looked like a {table with ears|sausage}",
            "the legs were {too short|all different}, and <he> rubbed a hole in the paper",
        ),
        "look at a horse ten times longer than at your paper",
        "the horse on the paper looked as if it might {gallop away|jump off the page}",
    ),
)
_WILD_SKILLS = (
    (
        "climb the tallest <tree> tree",
        "climbing",
        (
            "<he> slid {down again|back to the ground}",
            "a twig snapped, and <he> {tumbled into the ferns|landed in a bush}",
        ),
        "test every branch, and never look down",
        "<he> sat at the very top and saw the whole {forest|valley}",
    ),
    (
        "swim across the pond",
        "swimming",
        (
            "<he> swallowed a {tadpole|mouthful of water} and turned back",
            "<he> got tangled in the {weeds|water lilies}",
        ),
        "breathe slowly, and let the water carry you",
        "<he> reached the other side and shook the water from <his> {ears|back}",
    ),
    (
        "find food under the snow",
        "digging",
        (
            "<he> dug a deep hole and found {nothing but stones|only an old boot}",
            "<he> dug in the wrong place until <his> {nose was blue|feet were frozen}",
        ),
        "use your nose first and your feet after",
        "<he> caught a faint, sweet smell, dug quickly, and {pulled out|found} something to eat",
    ),
    (
        "jump over the stream",
        "jumping",
        (
            "<he> landed {right in the middle|in the mud} with a splash",
            "<he> stopped at the edge and {skidded|slid} in",
        ),
        "look at the far bank, and not at the water",
        "<he> {flew|soared} through the air and landed on dry grass",
    ),
    (
        "sing",
        "singing",
        (
            "it sounded like a {creaking gate|frog with a cold}",
            "the <bird> {covered its ears|flew off in alarm}",
        ),
        "sing what you feel, not what you hear",
        "the whole {wood|valley} {fell silent|stopped} to listen",
    ),
    (
        "walk without a sound",
        "stalking",
        (
            "a dry leaf {crunched|crackled}, and everyone turned around",
            "<he> {stepped on a twig|sneezed} at the very last moment",
        ),
        "put down your heel as if the ground were asleep",
        "<he> came so close to a <bird> that <he> could have counted its feathers",
    ),
)


def tell(t: Teller, wild: bool) -> None:
    """Tell it."""
    what, doing, failures, advice, success = t.pick(_WILD_SKILLS if wild else _SKILLS)
    t.know(what=what, doing=doing, advice=advice, success=success, day=t.pick(DAYS))
    t.know(first=failures[0], second=failures[1])
    introduce(
        t, wild, ("impatient", "stubborn", "proud", "clumsy", "hardworking", "cheerful", "lively")
    )
    t.say(
        "there was only one thing that <he> {wished for|wanted}: to <what>.",
        "more than anything else, <he> wanted to <what>.",
        "all the others could <what>, {but <hero> could not|only <hero> could not}.",
        "<his> friend <friend> could <what>, and <hero> wanted to do it too.",
    )
    t.slots["friend_is"] = t.slots["friend"]
    t.paragraph()
    t.say(
        "<day>, <he> {tried it for the first time|made up <his> mind to try}. <first>.",
        "<day>, <he> {began|went out to practice}. it looked so easy! but <first>.",
    )
    t.say(
        "<he> tried again. this time, <second>.",
        "the second try was no better: <second>.",
        "then <second>.",
    )
    t.say(*(SAD + ANGRY))
    t.say(
        '"{I will never learn it|I cannot do it|it is too hard}!" <he> {cried|groaned|said}.',
        '"{everyone is laughing at me|I am just not made for this}," <he> {muttered|said}.',
    )
    t.paragraph()
    t.say(
        '<elder_is> had been watching. "{when I was your age, I fell a hundred times|nobody is born knowing how|I could not do it either, at first}," said <elder>. "{here is a secret|do you want to know the trick|listen}: <advice>."',
        '<elder_is> {came and sat down beside <him>|saw it and smiled}. "you {did not fail|are not bad at it}," said <elder>. "{you just have not finished learning|you have found two ways that do not work}. now <advice>."',
    )
    t.say(
        "<hero> {thought about it|nodded}. every {day|morning|evening} {after that|from then on}, <he> {practiced|went back and practiced}. {some days went well, and some went badly|it got a little better each time}.",
        "so <he> practiced. <he> practiced {before breakfast|in the rain} and {after supper|when the others were playing}. there were {bruises|sighs} and {giggles|grumbles}, but <he> did not {stop|give up}.",
    )
    t.say(
        "{then came the day when|and one day, when <he> had almost stopped thinking about it,|a week later, all at once,} it {worked|happened}: <success>!",
        "and {at last|after many days}, it {happened|worked}. <success>!",
    )
    t.say(*HAPPY)
    t.maybe(0.6, '"{I did it|look at me|did you see that}!" <he> {shouted|called}.')
    t.paragraph()
    t.say(
        '"{you never gave up|that was hard work|I knew you could}," said <elder>{ proudly|}. and <hero> {knew that it was true: what is hard today can be easy tomorrow|understood that every master was a beginner once}.',
        '<hero> had learned more than <doing>. <he> had learned that {falling is a part of learning|practice turns "I cannot" into "I can"|patience gets you further than talent}.',
        'later, when <friend> {had trouble with something new|wanted to give up}, <hero> said, "{it takes time|try once more}. {I know, because I fell too|I will help you}."',
    )
    t.maybe(0.25, *EVENING)
