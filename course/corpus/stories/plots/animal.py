"""A creature in need is found, cared for, and let go."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

from course.corpus.stories.feelings import (
    SAD,
)
from course.corpus.stories.people import introduce
from course.corpus.stories.scenery import DAYS, PLACES, WILD_PLACES
from course.corpus.stories.telling import Teller

# An animal in need: (animal, trouble, sound, cure, food, thanks)
_PATIENTS = (
    (
        "sparrow",
        "{had hurt its wing|could not fly}",
        "peeped",
        "made a splint from a {match|toothpick} and a strip of cloth",
        "seeds and crumbs",
        "{sang at the window every morning|came back in spring with a family of its own}",
    ),
    (
        "kitten",
        "{was soaking wet|was shivering under a bush}",
        "mewed",
        "rubbed it dry with a towel",
        "warm milk",
        "{curled up at <his> feet|followed <him> everywhere}",
    ),
    (
        "hedgehog",
        "had {its head stuck in a tin can|fallen into a drain}",
        "snuffled",
        "put on thick gloves and freed it, inch by inch",
        "cat food and water",
        "{visited the garden every evening|ate all the slugs in the lettuce}",
    ),
    (
        "duckling",
        "had {lost its mother|been left behind by the others}",
        "cheeped",
        "carried it {along the bank|from pond to pond} until they heard an answering quack",
        "oats",
        "{bobbed its head as if to say thank you|swam off in the middle of its family}",
    ),
    (
        "puppy",
        "{had a thorn in its paw|was limping}",
        "whimpered",
        "pulled out the thorn with tweezers and washed the paw",
        "bread and broth",
        "{barked and barked when <he> fell into the canal, until help came|became the best friend <he> ever had}",
    ),
    (
        "owl",
        "{was caught in a net|had flown against a window}",
        "hooted",
        "cut the threads, one by one, with small scissors",
        "scraps of meat",
        "{hooted from the <tree> tree each night|left a soft brown feather on the sill}",
    ),
    (
        "fawn",
        "was {caught in a fence|stuck in the mud}",
        "bleated",
        "bent the wires apart and held them",
        "clover",
        "{looked back once from the edge of the wood|stepped out of the wood every autumn to greet <him>}",
    ),
    (
        "bee",
        "{lay on its back|was too tired to fly}",
        "buzzed faintly",
        "set it on a flower out of the wind",
        "a drop of sugar water on a spoon",
        "{buzzed three times around <his> head|brought its sisters to the cherry blossoms}",
    ),
    (
        "seal pup",
        "{lay stranded on the sand|was tangled in a fishing line}",
        "howled",
        "untangled the line and kept its skin wet with buckets of water",
        "herring",
        "{waved a flipper|popped up beside <his> boat all summer}",
    ),
    (
        "pony",
        "{had slipped into a ditch|had lost its way in the fog}",
        "whinnied",
        "laid planks for it to climb on and pulled at the halter",
        "oats and apples",
        "{carried <him> home|nuzzled <his> pockets whenever they met}",
    ),
    (
        "squirrel",
        "{had fallen out of its nest|had a bent tail and a sore foot}",
        "chattered",
        "made it a bed in a {mitten|hat}",
        "hazelnuts",
        "{threw acorns on the roof to say hello|hid one nut in <his> shoe each week}",
    ),
    (
        "swan",
        "{was tangled in a fishing line|had swallowed a fishhook}",
        "hissed",
        "went for the forester, who knew just what to do",
        "soaked bread",
        "{glided past <him> with its neck held high|let nobody else come so near}",
    ),
    (
        "tortoise",
        "{was lying on its back|had wandered onto the road}",
        "waved its legs",
        "turned it over and carried it to a {safe|sunny} spot",
        "lettuce leaves",
        "{plodded back each summer|was there again every June}",
    ),
)
_WILD_PATIENTS = (
    (
        "beetle",
        "{lay on its back|was caught in a spider's web}",
        "waved its legs",
        "turned it over with a blade of grass",
        "a leaf with dew on it",
        "{showed <him> where the sweetest berries grew|told all the beetles in the wood about <him>}",
    ),
    (
        "baby bird",
        "had fallen from its nest",
        "peeped",
        "made a bed of moss and carried it up, branch by branch",
        "crumbs and tiny worms",
        "{sang <his> name every morning|warned <him> when the hunter came}",
    ),
    (
        "fish",
        "was stuck in a drying puddle",
        "gasped",
        "dug a {channel|little canal} from the puddle to the stream",
        "fresh water",
        "{leapt high out of the water to greet <him>|found <him> a shiny pebble}",
    ),
    (
        "bat",
        "{had lost its way in the daylight|could not find its cave}",
        "squeaked",
        "covered its eyes with a leaf and led it home through the shade",
        "moths",
        "{guided <him> through the darkest night|hung upside down and laughed whenever they met}",
    ),
    (
        "butterfly",
        "had a wet, crumpled wing",
        "trembled",
        "shielded it from the wind until the sun had dried it",
        "nectar",
        "{danced around <his> head every summer|led <him> to a hidden meadow}",
    ),
    (
        "snail",
        "had a crack in its shell",
        "pulled in its horns",
        "patched the shell with clay and resin",
        "dandelion leaves",
        '{wrote "thank you" on a stone in silver|came to tea, though it took a week}',
    ),
)


def tell(t: Teller, wild: bool) -> None:
    """Tell it."""
    patient, trouble, sound, cure, food, thanks = t.pick(_PATIENTS)
    if wild:
        patient, trouble, sound, cure, food, thanks = t.pick(_WILD_PATIENTS)
    t.know(
        patient=patient,
        trouble=trouble,
        sound=sound,
        cure=cure,
        fare=food,
        thanks=thanks,
        day=t.pick(DAYS),
    )
    t.slots["place"] = t.pick(WILD_PLACES[:-2] if wild else ("the park", "the beach", *WILD_PLACES))
    introduce(
        t, wild, ("kind", "gentle", "curious", "helpful", "careful", "shy", "brave", "cheerful")
    )
    t.paragraph()
    t.say(
        "<day>, <he> was on <his> way to <place>. {everything was quiet|<he> was humming a tune}. then <he> heard something: a small sound in the grass.",
        "<day>, <hero> {walked|wandered} to <place>. "
        + t.pick(PLACES[t.slots["place"]])
        + " and {there|then}, {by the side of the path|under a bush}, <he> saw something move.",
        "<day>, <he> and <friend_is> were playing at <place> when they {heard a strange sound|saw something in the grass}.",
    )
    t.say(
        "it was a {little|small|young} <patient>. it <trouble>. the <patient> <sound>.",
        "a <patient>! the poor thing <trouble>, and it <sound> {sadly|softly}.",
    )
    t.say(
        '"{you poor thing|oh dear|do not be afraid}," {said|whispered} <hero>. "{I will help you|I am not going to hurt you|we will get you well again}."',
        "<hero> {knelt down|crouched} {very slowly|carefully}, so as not to frighten it.",
    )
    t.paragraph()
    t.say(
        "<he> {ran to|called} <elder_is>, and together they <cure>.",
        "<he> did not know {what to do|how to help}, so <he> asked <elder_is>. {very gently|with great care}, they <cure>.",
        "{first|without delay}, <he> <cure>. <elder_is> told <him> how.",
    )
    t.say(
        "they gave it <fare>. {at first it would not touch anything|at first it only looked at the food}, but {by evening|after an hour} it {began to eat|took a tiny bite}.",
        "every {morning and evening|few hours}, <hero> brought it <fare> and {talked to it|sang to it|sat beside it}.",
    )
    t.say(
        "the <patient> grew {stronger|a little stronger} {each day|day by day}.",
        "{for three days|for a whole week}, nobody knew {whether it would live|how it would end}. then, one morning, it {opened its eyes wide|lifted its head}.",
    )
    t.paragraph()
    t.say(
        '"{it is time|it is well now}," said <elder>. "{a wild thing must be free|it belongs out there}." {it was hard, but <hero> knew that it was right|<hero> felt a sting, but <he> nodded}.',
        "{at last|then} the day came when the <patient> was well. <hero> {wanted to keep it|had grown very fond of it}, but <he> {knew that it had a home of its own|knew that it belonged outside}.",
    )
    t.maybe(0.5, *SAD[:4])
    t.say(
        "but the <patient> did not forget. it <thanks>.",
        "and do you know what? the <patient> <thanks>.",
        "from that time on, the <patient> <thanks>.",
    )
    t.say(
        "{even the smallest kindness is never lost|whoever helps the small and the weak has friends everywhere|a kind deed comes back, often when you least expect it}.",
        "<hero> had learned that {to love something can mean to let it go|gentle hands and patience can heal a lot|even a small <hero_kind> can be a great help}.",
        '"{if you love something, you let it be what it is|that is how one makes a friend}," said <elder>, and <hero> {understood|nodded}.',
    )
