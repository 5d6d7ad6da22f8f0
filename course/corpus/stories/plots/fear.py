"""A fear, a moment that asks for courage, a word of advice, a small brave step."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

from course.corpus.stories.feelings import (
    AFRAID,
    EVENING,
    HAPPY,
)
from course.corpus.stories.people import introduce
from course.corpus.stories.telling import Teller

# A fear: (of what, how it shows, where it meets the hero, what helps, what it turns out to be)
_FEARS = (
    (
        "the dark",
        "<he> {left a candle burning|pulled the blanket over <his> ears} every night",
        "one evening, the lamps went out all over the {street|house}, and <he> had to {fetch <his> little cousin from upstairs|go down to the cellar for candles}",
        "the dark is only the day with its eyes closed",
        "the black {shape|monster} in the corner was just a {coat on a hook|chair with a hat on it}",
    ),
    (
        "thunder",
        "at the first rumble <he> {crawled under the table|hid in the cupboard}",
        "one night, a storm broke over the {roof|town} while <friend_is> was visiting",
        "count the seconds after the flash, and you will hear the storm walk away",
        "each time, the counting took longer, and the thunder grew as soft as a {purr|drum far away}",
    ),
    (
        "dogs",
        "<he> {crossed the street|climbed onto a wall} whenever one came by",
        "one day, a huge shaggy dog sat right in front of the {gate|school door} and would not move",
        "let it smell your hand, and speak softly",
        "the dog licked <his> fingers and {rolled over to be scratched|wagged its tail so hard that it fell over}",
    ),
    (
        "deep water",
        "<he> {never went in above <his> ankles|built castles while the others swam}",
        "one summer day, <friend>'s hat blew into the lake and drifted away",
        "go one step at a time, and hold on to the rope",
        "the water was {cool and friendly|soft}, and it held <him> up",
    ),
    (
        "the high slide",
        "<he> {climbed up and climbed down again|always said that <he> was too tired}",
        "one afternoon, everybody was waiting behind <him> on the ladder, and there was no way back",
        "sit down, take a breath, and count to three",
        "it was {like flying|over in a wink}, and <he> wanted to do it again at once",
    ),
    (
        "speaking in front of people",
        "<his> voice {shrank to a squeak|disappeared} as soon as two persons listened",
        "at the {spring festival|school play}, <he> had to say {four lines|a poem} before the whole {town|school}",
        "look at one friendly face, and speak to that one only",
        "the words came out, one after another, and the hall {roared with applause|clapped and clapped}",
    ),
    (
        "heights",
        "even a {stepladder|balcony} made <him> dizzy",
        "one day, a kitten was stuck on the {roof of the shed|branch of the old <tree> tree}, and nobody else was there",
        "look at where you put your hands, not at the ground",
        "it was not so high after all, and the kitten {purred|climbed} into <his> arms",
    ),
    (
        "spiders",
        "<he> {screamed|jumped on a chair} when <he> saw one",
        "one morning, a spider sat {in <his> shoe|on <his> book}",
        "look closely, for it is more afraid of you than you are of it",
        "its web hung in the window, full of {dewdrops|silver threads}, and it was the finest lace <he> had ever seen",
    ),
    (
        "the old house on the corner",
        "<he> always {ran past it|held <his> breath when <he> passed it}",
        "one day, <his> ball {flew over the fence|rolled through the gate} of that very house",
        "knock at the door and say good day",
        'the "witch" who lived there was a {retired sailor|piano teacher} who {baked <treat>|had eleven cats}',
    ),
    (
        "the first day of school",
        "<he> {had a stomachache all week|would not put on the new shoes}",
        "then the morning came, and <he> stood before the big {green|wooden} door",
        "find someone who looks as frightened as you, and smile",
        "a {boy|girl} with {freckles|red boots} smiled back, and soon they were {drawing together|building a tower}",
    ),
    (
        "the dentist",
        "<he> {hid <his> toothbrush|kept <his> mouth shut tight}",
        "one day, a tooth began to ache, and there was no way around it",
        "hold my hand, and think of your favorite song",
        "it {tickled|hummed} a little, and when <he> opened <his> eyes, it was already over",
    ),
)
_WILD_FEARS = (
    (
        "the dark",
        "when the sun went down, <he> {crept into <his> bed at once|would not go outside}",
        "one night, <friend_is> did not come home, and somebody had to go and look",
        "the dark is only the day with its eyes closed",
        "the {glowing eyes|green lights} in the bushes were just fireflies",
    ),
    (
        "thunder",
        "at the first rumble <he> {hid under a root|covered <his> ears}",
        "one evening, a storm broke while <he> was far from home",
        "count after each flash, and you will hear the storm walk away",
        "each time <he> counted further, until the thunder was only a murmur",
    ),
    (
        "the big river",
        "<he> {drank only from puddles|never went near the bank}",
        "one day, <friend_is> slipped on a stone and {clung to a branch in the current|was carried to an island}",
        "hold on to the reeds, and take one step at a time",
        "the water only came up to <his> {belly|knees}",
    ),
    (
        "owls",
        "<he> {trembled when one hooted|slept with one eye open}",
        "one night, an owl landed right beside <him>",
        "say good evening first, and listen to what it says",
        "the owl was {lonely|lost} and only wanted to {ask the way|hear a story}",
    ),
    (
        "the cave behind the waterfall",
        "<he> {made a big circle around it|was sure that a monster lived there}",
        "one afternoon, <friend>'s ball of moss rolled right into it",
        "sing while you walk, and listen to what comes back",
        'the "monster" that answered was <his> own echo',
    ),
    (
        "high places",
        "<he> {would not climb even a stump|closed <his> eyes on every hill}",
        "one day, a baby <bird> fell from its nest, and somebody had to carry it back up",
        "look at the next branch, not at the ground",
        "the branches were as good as a staircase, and the view was {splendid|wonderful}",
    ),
)


def tell(t: Teller, wild: bool) -> None:
    """Tell it."""
    introduce(t, wild, ("timid", "shy", "careful", "gentle", "dreamy", "kind", "clever"))
    what, shows, moment, advice, truth = t.pick(_WILD_FEARS if wild else _FEARS)
    t.know(what=what, shows=shows, moment=moment, truth=truth, advice=advice)
    t.say(
        "there was one thing that {frightened <him>|<he> was afraid of}: <what>. <shows>.",
        "but <he> was {terribly|very} afraid of <what>. <shows>.",
        "<he> had a secret: <he> was afraid of <what>. <shows>.",
    )
    t.maybe(
        0.5,
        '"{there is nothing to be afraid of|do not be silly}," {people|everyone} said, but that did not help at all.',
    )
    t.paragraph()
    t.say("<moment>.")
    t.say(*AFRAID)
    t.maybe(0.5, *AFRAID)
    t.say(
        '"{I cannot do it|I am too scared|please, not me}," <he> {whispered|said in a tiny voice}.',
        "{everything in <him> said no|<he> took one step back}.",
    )
    t.paragraph()
    t.say(
        'then <he> remembered {something that|what} <elder_is> had {told <him>|once said}: "<advice>."',
        '<elder_is> {knelt down|bent down} beside <him>. "I am afraid sometimes, too," said <elder>. "{do you know what helps|shall I tell you what I do}? <advice>."',
        '"{being brave does not mean that you are not afraid|everyone is afraid of something}," said <elder_is>. "<advice>."',
    )
    t.say(
        "<hero> {took a deep breath|clenched <his> fists|closed <his> eyes for a moment}. {then <he> took one small step, and another|slowly, very slowly, <he> went forward}.",
        "<his> {hands|legs} were still shaking, but <he> {did it anyway|tried}.",
        "<he> {nodded|bit <his> lip} and {did as <he> was told|tried it}, with <his> heart beating {fast|in <his> throat}.",
    )
    t.say(
        "and {what do you think|imagine}? <truth>!",
        "<truth>.",
        "and then <he> {found out|saw}: <truth>!",
    )
    t.say(*HAPPY)
    t.paragraph()
    t.say(
        '"{you did it|that was brave|I am proud of you}!" {cried|said} {<elder>|<friend>}. "{I was still scared|I was afraid the whole time}," said <hero>. "{that is exactly what courage is|then it was even braver}."',
        "<hero> {still felt a little flutter the next time|was not cured in a day}, but {it grew smaller each time|now <he> knew what to do}. {courage, <he> found, is a thing that grows when you use it|a fear looks biggest from far away}.",
        "from that day on, <he> was no longer afraid of <what>. and when others were frightened, <he> {held their hand and told them|told them} what <he> had learned: {take one small step, and then the next|look closely at what scares you}.",
    )
    t.maybe(0.25, *EVENING)
