"""Something breaks, is hidden, and weighs until the truth is told."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

from course.corpus.stories.feelings import (
    GUILTY,
)
from course.corpus.stories.people import introduce
from course.corpus.stories.scenery import DAYS
from course.corpus.stories.telling import Teller

# Something that breaks: (thing, how it breaks, how it is mended)
_BROKEN = (
    ("vase", "<his> elbow {hit|knocked against} the vase. it {tumbled|fell} to the floor and {shattered|broke into a dozen pieces}", "they glued the pieces together, one by one"),
    ("window", "the ball flew {too high|crooked}, and {crash|smash}, it went right through the window", "they swept up the glass, and <hero> helped to put in a new pane"),
    ("teapot", "the teapot slipped out of <his> hands and {lost its spout|cracked on the stone floor}", "they glued the teapot together and planted {mint|<flowers>} in it"),
    ("clock", "<he> only wanted to see how it worked, but {a spring|a little wheel} popped out and the clock stopped ticking", "they spread out all the wheels on the table and put them back in order"),
    ("picture frame", "<he> bumped into the wall, and the picture frame fell down and cracked", "they made a new frame from {driftwood|<tree> wood} and painted it <color>"),
    ("chair", "<he> rocked back and forth until a leg of the chair snapped", "they mended the leg with glue and a strong cord"),
    ("lamp", "<he> swung the broom like a sword, and the lamp {toppled|crashed} to the ground", "they made a new shade from <color> paper"),
    ("sugar bowl", "<he> stood on a stool to reach the sugar bowl, and it slid off the shelf and broke", "they turned the pieces into a {mosaic|sunny pattern} for the garden path"),
)  # fmt: skip


def tell(t: Teller, wild: bool) -> None:
    """Tell it."""
    thing, accident, mending = t.pick(_BROKEN)
    t.know(thing=thing, accident=accident, mending=mending, day=t.pick(DAYS))
    introduce(t, wild, ("lively", "clumsy", "curious", "impatient", "cheerful", "mischievous"))
    t.paragraph()
    t.say(
        "<day>, <elder_is> let <him> {help in the house|play in the front room}, while the rain drummed on the roof. \"{be careful|do not run}\", <ehe> said.",
        "<day>, <elder_is> went out {to the market|for a little while} and said, \"{please do not run in here|be careful with the <thing>|I will be back soon}.\" <hero> {promised|nodded}.",
    )  # fmt: skip
    t.say("<accident>.")
    t.say(
        '"oh no!" <he> {whispered|gasped}. "{what have I done|<elder> will be so angry}!"',
        "for a moment it was {very quiet|as silent as a stone}.",
    )
    t.say(
        "quickly, <he> {hid what was left {under the rug|in a bag behind the door|in the bottom of a chest}|covered everything with a blanket} and {ran outside|pretended to read}.",
        "<he> {pushed everything behind the curtain|closed the door} and {tiptoed away|told nobody}.",
    )  # fmt: skip
    t.paragraph()
    t.say(
        "but <he> could not {enjoy the day|think of anything else|eat a bite}.",
        '"{have you seen|do you know what happened to} the <thing>?" asked <elder> {at supper|later}. "{no|maybe it was the cat|I do not know}," {mumbled|said} <hero>.',
    )
    t.say(*GUILTY)
    t.say(
        "the secret {grew heavier with every hour|sat in <him> like a stone|would not let <him> sleep}.",
        "that night, <he> {lay awake and listened to the wind|counted sheep, but every sheep looked at <him> sadly}.",
        "when <friend_is> asked what was wrong, <he> {told <fhim> everything in a whisper}. \"{the truth gets heavier if you carry it alone|you will feel better when you have said it}\", said <friend>.",
    )  # fmt: skip
    t.paragraph()
    t.say(
        "{in the morning|at last|finally}, <he> could not bear it any longer. <he> {went to|stood before} <elder> with <his> head down.",
        "{in the morning|the next day}, <hero> {took all <his> courage|swallowed hard} and went to <elder>.",
    )  # fmt: skip
    t.say(
        '"I {broke|ruined} the <thing>," <he> said. "{and then I lied|I hid it because I was afraid|it was an accident, but I should have told you}. I am {so|very} sorry."',
        '"it was me," <he> {said|whispered}. "I broke the <thing>, and I was {afraid|scared} to tell you."',
    )
    t.say(
        "<elder> was {quiet|silent} for a while. then <ehe> {put an arm around <him>|smiled}. \"{a <thing> can be mended|a <thing> is only a <thing>}. {thank you for telling me the truth|I am glad that you told me. that was brave}.\"",
        "\"{I know|I thought so}, and I was waiting for you to tell me,\" said <elder>. \"{trust is harder to mend than a <thing>|being honest takes more courage than hiding}.\"",
    )  # fmt: skip
    t.say("<mending>.")
    t.maybe(0.4, "it was not {perfect|as good as new}, but {they both liked it better than before|every crack told a story}.")  # fmt: skip
    t.say(
        "<hero> felt {as light as a bird|as if a stone had rolled off <his> heart}. {telling the truth had been hard, but hiding it had been harder|a mistake is not so bad when you own up to it}.",
        "{after that day|after that}, <hero> {told the truth right away, even when it was hard|never hid a mistake again}.",
        "and <hero> {understood|knew now} that {a lie grows, but the truth sets things right|everybody makes mistakes, and honest words are the best glue}.",
    )
