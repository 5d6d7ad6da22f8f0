"""Where and when stories happen: homes, places with what one sees there, days and seasons."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

HOMES = [
    "in {a small|a quiet|an old|a cheerful|a sleepy} {town|village} {by the sea|at the foot of a {green|steep} hill|between two rivers|near a deep forest|beside a long, blue lake|in a wide valley|where the trains stopped only twice a day}",
    "in a {yellow|red|white|blue|crooked|narrow|tall} house {with a crooked chimney|with green shutters|at the end of a winding lane|with a garden full of <flowers>|next to the {library|bakery|fire station|old mill}|covered with ivy}",
    "on a farm {with seven cows and one very proud rooster|where the wind always smelled of hay|at the edge of the {marsh|moor|prairie}|where sheep wandered right up to the kitchen door}",
    "in an apartment {high above a busy street|over a {bakery|bicycle shop|bookshop}|on the {third|fifth|top} floor of a brick building}",
    "in a cottage {deep in the woods|beside a mill pond|with a roof of {straw|moss|slate}|on a windy cliff|under a huge <tree> tree}",
    "on a houseboat on a {slow|lazy|wide} river",
    "in a {lighthouse|fishing village|harbor town} on a {rocky|green|small} island",
    "in a busy city {full of bridges|with trams and tall towers|where the lights never went out}",
    "in a {dusty|sunny|little} town {at the edge of the desert|in the mountains|beside a railway line}",
]

ANIMAL_HOMES = [
    "{deep|far} in the {green|old|whispering|quiet} forest",
    "at the edge of a {sunny|wide|windy} meadow",
    "beside a {clear|chattering|narrow} {stream|brook|creek}",
    "under the roots of a {great|huge|twisted} <tree> tree",
    "in a {shady|ferny|hidden} valley",
    "on the bank of a {wide|slow|silver} river",
    "behind the {old|broken} stone wall of a farm",
    "near a pond where {dragonflies danced|water lilies floated|the reeds whispered}",
]

# place: what one sees, hears and smells there
PLACES = {
    "the park": [
        "ducks paddled in circles on the pond.",
        "an old man was feeding pigeons from a paper bag.",
        "the swings creaked in the breeze.",
        "children were rolling down the grassy slope.",
        "a brass band was practicing in the pavilion.",
    ],
    "the beach": [
        "seagulls shrieked above the foamy waves.",
        "crabs scuttled between the wet rocks.",
        "the sand was so hot that it tickled.",
        "a fishing boat bobbed far out on the water.",
        "the air tasted of salt and seaweed.",
    ],
    "the market": [
        "stalls were piled high with melons, onions and cheese.",
        "a woman was selling honey in fat glass jars.",
        "somebody was playing an accordion near the fountain.",
        "the fishmonger shouted his prices over everybody's heads.",
        "baskets of plums glowed like jewels in the sun.",
    ],
    "the library": [
        "dust danced in a sunbeam between the shelves.",
        "the floor squeaked however softly one walked.",
        "a cat slept on top of the encyclopedias.",
        "it smelled of paper and floor polish.",
        "the clock above the desk ticked very loudly.",
    ],
    "the orchard": [
        "ripe fruit had fallen into the long grass.",
        "wasps hummed around the windfalls.",
        "ladders leaned against the knobbly trunks.",
        "the branches hung so low that they brushed the ground.",
        "the whole hillside smelled of cider.",
    ],
    "the meadow": [
        "<flowers> nodded in the wind.",
        "grasshoppers chirped in the tall grass.",
        "a <bird> was singing at the top of its voice.",
        "bees bumbled from one blossom to the next.",
        "the grass reached almost to <hero>'s chin.",
    ],
    "the forest": [
        "the light fell in green stripes between the trunks.",
        "a woodpecker was hammering somewhere above.",
        "mushrooms with speckled caps stood in a ring.",
        "the path was soft with moss and pine needles.",
        "twigs crackled underfoot.",
    ],
    "the river": [
        "the water gurgled over smooth, round stones.",
        "silver fish flashed beneath the surface.",
        "a heron stood on one leg among the reeds.",
        "a plank bridge swayed above the current.",
        "dragonflies zigzagged from bank to bank.",
    ],
    "the playground": [
        "someone had drawn a huge snail on the pavement with chalk.",
        "there was a long line at the slide.",
        "the seesaw went up and down with a groan.",
        "a girl hung upside down from the climbing frame.",
        "puddles shone under the monkey bars.",
    ],
    "the harbor": [
        "ropes slapped against the masts.",
        "sailors were unloading crates of oranges.",
        "a tugboat hooted twice.",
        "nets hung drying along the quay.",
        "cats waited hopefully beside the fishing boats.",
    ],
    "the town square": [
        "the bells of the tower struck the hour.",
        "water splashed from the mouth of a stone lion.",
        "a juggler was tossing five plates at once.",
        "people sat in the cafe with tiny cups of coffee.",
        "pigeons strutted over the cobblestones.",
    ],
    "the garden": [
        "beans were climbing up their poles.",
        "a fat toad sat under the rhubarb leaves.",
        "washing flapped on the line.",
        "the wheelbarrow stood among the cabbages.",
        "snails had left shiny trails on the path.",
    ],
    "the hill": [
        "from up there the houses looked like toys.",
        "the wind was strong enough to lean on.",
        "sheep lifted their heads and stared.",
        "cloud shadows slid across the fields below.",
        "wild thyme grew between the rocks.",
    ],
    "the barn": [
        "hay was stacked right up to the rafters.",
        "swallows darted in and out through a broken window.",
        "an owl blinked down from a beam.",
        "it was dim and warm, and it smelled of horses.",
        "a hen had laid an egg in an old bucket.",
    ],
    "the fair": [
        "the merry-go-round was spinning to a jolly tune.",
        "lanterns swung above the tents.",
        "sugar stuck to everybody's fingers.",
        "a man on stilts bent down to shake hands.",
        "the ferris wheel lifted its baskets high over the rooftops.",
    ],
    "the train station": [
        "a whistle blew and steam rolled over the platform.",
        "porters pushed trolleys stacked with suitcases.",
        "the big clock jumped from minute to minute.",
        "a voice announced a train to the coast.",
        "travelers hurried past with umbrellas and sandwiches.",
    ],
    "the museum": [
        "a dinosaur skeleton grinned down at the visitors.",
        "a suit of armor stood guard by the stairs.",
        "footsteps echoed under the high ceiling.",
        "glass cases were full of butterflies and beetles.",
        "a stuffed walrus stared at nothing in particular.",
    ],
    "the zoo": [
        "a giraffe stretched its neck over the fence.",
        "the penguins stood in a row as if they were waiting for a bus.",
        "a sleepy crocodile opened one eye.",
        "the monkeys were quarreling over a banana.",
        "somewhere a peacock screamed.",
    ],
}

WILD_PLACES = (
    "the meadow",
    "the forest",
    "the river",
    "the orchard",
    "the hill",
    "the barn",
    "the garden",
)
TOWN_PLACES = (
    "the park", "the beach", "the market", "the library", "the playground", "the harbor", "the museum",
    "the town square", "the fair", "the train station", "the garden", "the hill", "the zoo",
)  # fmt: skip

DAYS = [
    "one {sunny|warm|bright|fine|breezy|golden|still|clear} {morning|afternoon|day}",
    "one {Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday} {morning|afternoon}",
    "one day in {early|late|the middle of} {spring|summer|autumn}",
    "on {a lazy summer|a crisp autumn|a fresh spring|a cloudy} {morning|afternoon}",
    "on the {first|last} day of {the holidays|school|April|May|June|September|October}",
    "one morning, {just after breakfast|before anyone else was awake|when the dew had dried}",
    "one afternoon, {when the chores were done|when it had stopped raining|after a long nap}",
]

WEATHER = {
    "storm": [
        "black clouds piled up over the {hills|rooftops|treetops}, and the first drops fell, as fat as grapes.",
        "the wind began to howl, and {lightning|a jagged flash} split the sky.",
        "{thunder rumbled|a long growl of thunder rolled} across the {valley|sky|fields}.",
    ],
    "snow": [
        "snowflakes came tumbling down, {thick and silent|big as feathers|faster and faster}.",
        "by noon {everything was white|the fences had disappeared|the world had gone quiet}.",
        "the snow squeaked under every step, and icicles hung from the {gutters|branches}.",
    ],
    "fog": [
        "a thick fog rolled in, as gray as {wool|an old blanket|porridge}.",
        "soon one could not see farther than an outstretched {arm|hand}.",
        "every {tree|lamp|shape} looked like a {ghost|giant} in the mist.",
    ],
    "heat": [
        "the sun burned down from a sky without a single cloud.",
        "the road shimmered, and even the {flies|birds|lizards} had gone to look for shade.",
        "the grass was brown and crackled like paper.",
    ],
    "wind": [
        "a wild wind came up and {rattled the shutters|bent the trees|chased hats down the street}.",
        "leaves and {newspapers|twigs|petals} whirled through the air.",
        "the gusts were so strong that the {gate|weathervane|door} banged and groaned.",
    ],
}
