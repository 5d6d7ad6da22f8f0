"""Words that stories draw from: names, animals, things and their properties."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(text.strip().replace("\n", "|").split("|"))


GIRLS = _words("""
Ada Adele Agnes Alice Amara Amelia Amina Anna Annie Anya April Aria Asha Astrid Ava Beatrice
Bella Beth Bonnie Carla Carmen Cecily Celia Chloe Clara Daisy Dana Daphne Delia Dora Edith
Eleanor Elena Elise Ella Ellen Elsa Emily Emma Esther Eva Fatima Faye Fern Fiona Flora Freya
Gemma Georgia Gina Grace Greta Hana Hannah Hazel Heidi Helen Holly Ida Imani Inez Ingrid Iris
Isla Ivy Jade Jane Jasmine Jenny Joan Josie Joy Julia June Kate Kira Lara Laura Leah Leila Lena
Lily Lina Lola Lottie Louisa Lucy Luna Lydia Mabel Maria Martha Mary Matilda Maya Mei Mia Mila
Millie Mina Molly Nadia Nancy Naomi Nina Nora Odette Olive Olivia Paula Pearl Penny Petra Phoebe
Polly Priya Rita Robin Rosa Rosie Ruby Ruth Sadie Sally Sara Selma Sofia Sonia Stella Sue Susie
Tara Tess Thea Tilly Una Vera Viola Wanda Wendy Willa Yara Yuki Zara Zoe
""")

BOYS = _words("""
Adam Ahmed Alan Albert Alec Alfie Amir Andy Anton Archie Arlo Arthur Asher Ben Bernard Bill
Billy Bobby Boris Bruno Caleb Calvin Carl Carlos Casper Charlie Chris Colin Conrad Cyrus Dan
Daniel David Dean Dennis Diego Dylan Eddie Edgar Edwin Eli Elliot Emil Eric Ernest Ethan Ezra
Felix Finn Frank Fred Gabriel George Gilbert Giles Gus Hal Hank Harold Harry Harvey Henry Hugo
Ian Isaac Ivan Jack Jacob James Jasper Jay Jim Joe Joel Johnny Jonah Josh Juan Jules Kai Karim
Kenji Kevin Kurt Lars Leo Leon Levi Liam Lionel Louis Luca Luke Malik Manuel Marco Mark Martin
Mateo Matt Max Micah Michael Mike Milo Mohan Nate Nathan Ned Neil Nico Noah Oliver Omar Oscar
Otis Otto Owen Pablo Patrick Paul Percy Peter Philip Quentin Rafael Ralph Ravi Ray Remy Rob
Roger Rory Roy Rufus Sam Samir Sasha Scott Sean Seth Silas Simon Stan Steven Tariq Teddy Theo
Thomas Tim Toby Todd Tom Tomas Tony Victor Vincent Wally Walter Wesley Will Winston Yusuf Zach
""")

SURNAMES = _words("""
Abbott Alder Archer Baker Barnes Bell Bennett Birch Bloom Bradley Brook Brown Butler Carter Chen
Cole Cooper Crane Cruz Dale Diaz Dixon Drake Fields Finch Fisher Flores Flynn Foster Fox Garcia
Gray Green Hale Harper Hart Hayes Hill Holt Hughes Hunt Kaplan Kim King Kumar Lake Lane Lee
Lopez Marsh Mason Miller Moon Moore Morgan Nash Novak Olsen Ortiz Page Park Patel Pepper Perry
Pike Plum Porter Potts Price Quinn Reed Rivera Rose Ross Rossi Russo Sato Shaw Silva Singh Snow
Stone Swan Tanaka Taylor Thorne Tucker Turner Vale Wade Walsh Ward Webb Wells White Wood Woods
Wren Young
""")

# species: (names, home, food, how it moves)
ANIMALS = {
    "rabbit": ("Clover Pip Thumper Bun Nutmeg Thistle", "burrow", "carrots", "hopped"),
    "fox": ("Rusty Ember Russet Copper Saffron Vix", "den", "blackberries", "trotted"),
    "hedgehog": (
        "Bramble Prickle Spike Conker Teasel Burr",
        "nest of leaves",
        "beetles",
        "shuffled",
    ),
    "mouse": ("Crumb Whisker Pepper Button Thimble Squeak", "hole", "cheese", "scurried"),
    "squirrel": ("Hazel Acorn Chip Twig Maple Pecan", "hollow tree", "nuts", "scampered"),
    "badger": ("Bristle Stripe Barley Digger Moss Humbug", "sett", "roots", "trundled"),
    "otter": ("Ripple Splash Brook Pebble Minnow Reed", "riverbank den", "trout", "slid"),
    "beaver": ("Timber Chomp Cedar Paddle Birch Lodger", "lodge", "willow bark", "waddled"),
    "frog": ("Hopper Lily Puddle Croak Jade Bubbles", "pond", "flies", "leapt"),
    "turtle": ("Shelly Mossy Pebbles Tuck Slowpoke Olive", "log by the pond", "lettuce", "plodded"),
    "duck": (
        "Waddles Quill Dilly Puddles Marigold Drake",
        "nest in the reeds",
        "pondweed",
        "waddled",
    ),
    "owl": ("Hoot Feather Luna Barnaby Tawny Winks", "old oak", "moths", "glided"),
    "robin": ("Chirp Ruby Scarlet Whistle Rowan Berry", "nest", "worms", "fluttered"),
    "bear": ("Honey Grumble Bruno Cinnamon Maple Bramwell", "cave", "honey", "lumbered"),
    "deer": ("Fern Willow Dapple Fawn Aspen Juniper", "thicket", "clover", "bounded"),
    "raccoon": ("Bandit Rascal Smudge Ringo Pockets Sly", "hollow log", "berries", "crept"),
    "mole": ("Velvet Tunnel Dusty Burrow Shadow Digby", "tunnel", "worms", "scuttled"),
    "kitten": ("Mittens Smoky Ginger Patch Velvet Tiger", "basket", "fish", "padded"),
    "puppy": ("Biscuit Scout Bingo Rags Socks Rusty", "kennel", "bones", "bounded"),
    "lamb": ("Woolly Daisy Cotton Snowy Bluebell Tuft", "barn", "grass", "skipped"),
    "pig": ("Truffle Hamlet Rosie Curly Muddy Petal", "sty", "apples", "trotted"),
    "goat": ("Nibbles Billy Juniper Heather Bell Cliff", "shed", "hay", "skipped"),
    "penguin": (
        "Flip Waddle Frost Pebble Icicle Tux",
        "nook between two stones",
        "fish",
        "waddled",
    ),
    "elephant": ("Ellie Trumpet Tembo Rumble Peanut Ivory", "grove", "bananas", "strolled"),
    "monkey": ("Coco Mango Swinger Banana Chico Kiki", "treetop", "figs", "swung"),
    "lion cub": ("Roary Goldie Sunny Amber Simba Tawny", "den", "meat", "prowled"),
    "koala": ("Eucky Gum Snooze Blue Cuddles Drowsy", "gum tree", "leaves", "climbed"),
    "kangaroo": ("Joey Bounce Jumper Sandy Roo Skip", "dusty hollow", "grass", "bounced"),
}

COLORS = _words("""
red blue green yellow purple orange pink white black brown gray golden silver turquoise crimson
scarlet violet lilac cream emerald amber maroon lavender teal navy peach coral copper ivory
""")

# A treasure: (noun, what it looks like, where it came from or why it matters)
TREASURES = [
    (
        "kite",
        "a <color> kite with a {long|fluttering|striped} tail",
        "<he> {had made|built} it with <elder>",
    ),
    (
        "marble",
        "a glass marble with a <color> {swirl|ribbon|spiral} inside",
        "<he> had won it at the school fair",
    ),
    ("scarf", "a {soft|woolly|long} <color> scarf", "<elder> had knitted it for <him>"),
    (
        "music box",
        "a tiny music box that played a {waltz|lullaby|slow, tinkling tune}",
        "it had once belonged to <elder>",
    ),
    (
        "whistle",
        "a {tin|wooden|brass} whistle on a <color> string",
        "it was loud enough to hear across three fields",
    ),
    (
        "compass",
        "a {brass|pocket|scratched old} compass",
        "its needle never got tired of pointing north",
    ),
    (
        "button",
        "a big <color> button shaped like a {star|flower|heart|moon}",
        "it was the luckiest button in the world",
    ),
    (
        "teddy bear",
        "a {patched|fuzzy|one-eared} teddy bear with <color> trousers",
        "<he> could not fall asleep without it",
    ),
    (
        "mitten",
        "a {thick|warm|fluffy} <color> mitten with a {snowflake|reindeer|daisy} on it",
        "it was half of <his> favorite pair",
    ),
    (
        "toy boat",
        "a {wooden|little|hand-carved} boat with a <color> sail",
        "it had crossed every puddle on the street",
    ),
    ("seashell", "a {spiral|pearly|freckled} seashell", "it still whispered of the sea"),
    (
        "locket",
        "a {silver|oval|tarnished} locket with a tiny picture inside",
        "the picture showed <his> whole family",
    ),
    (
        "notebook",
        "a {small|leather|dog-eared} notebook with a <color> cover",
        "all of <his> drawings were in it",
    ),
    ("key", "a {rusty|tiny|curly} iron key", "it opened the box where <he> kept <his> secrets"),
    (
        "hat",
        "a {floppy|pointed|straw|knitted} hat with a <color> {ribbon|feather|pompom}",
        "<he> wore it in every kind of weather",
    ),
    (
        "flute",
        "a {bamboo|slender|cherrywood} flute",
        "<he> was learning {a song|a tune} for the {festival|concert}",
    ),
    (
        "puzzle piece",
        "the last piece of a {castle|dragon|rainforest|lighthouse} puzzle",
        "the picture had a hole in it without that piece",
    ),
    (
        "umbrella",
        "a <color> umbrella with a handle shaped like a {duck|swan|parrot}",
        "<he> almost hoped for rain when <he> carried it",
    ),
    (
        "bracelet",
        "a {beaded|braided|woven} bracelet of <color> thread",
        "<friend> had made it for <him>",
    ),
    (
        "lantern",
        "a {paper|tin|little} lantern with <color> glass",
        "it had lit <his> way on many dark evenings",
    ),
    (
        "toy train",
        "a {clockwork|wooden|shiny} train engine painted <color>",
        "it had a bell that really rang",
    ),
    (
        "ball",
        "a bouncy <color> ball with {white dots|yellow stars|a zigzag stripe}",
        "it bounced higher than any other ball",
    ),
    ("feather", "a long <color> feather", "<he> was sure that it came from a {hawk|peacock|heron}"),
    (
        "coin",
        "an old {bronze|silver|foreign} coin with a {ship|queen|owl} on it",
        "<elder> had brought it back from a {faraway|distant} country",
    ),
    (
        "doll",
        "a rag doll with {yarn|woolen} hair and a <color> dress",
        "<elder> had sewn every stitch",
    ),
    ("telescope", "a {folding|brass|toy} telescope", "through it, even the moon had mountains"),
    (
        "paintbrush",
        "a fine paintbrush with a <color> handle",
        "it made the {thinnest|neatest} lines of all",
    ),
    ("bell", "a {round|silver|tiny} bell on a <color> ribbon", "it jingled with every step"),
    (
        "map",
        "a {hand-drawn|crumpled|folded} map",
        "a <color> cross marked a place that <he> wanted to find",
    ),
    (
        "stamp",
        "a rare <color> stamp with a {zebra|volcano|steamship} on it",
        "it was the pride of <his> collection",
    ),
]

# Food: (noun phrase without article, plural?)
TREATS = _phrases("""
blueberry muffins|cinnamon rolls|ginger cookies|lemon tarts|apple turnovers|oatmeal cookies
cheese scones|honey cakes|raisin buns|chocolate brownies|banana pancakes|pumpkin bread
cherry pie|plum cake|carrot cake|peach cobbler|strawberry jam|popcorn|roasted chestnuts
butter biscuits|almond cookies|rhubarb crumble|vanilla pudding|poppy seed rolls|corn bread
""")

FLOWERS = _words("""
daisies poppies bluebells tulips roses sunflowers buttercups marigolds violets daffodils
foxgloves snowdrops primroses lilies cornflowers pansies dandelions crocuses forget-me-nots
geraniums asters
""")

TREES = _words("""
oak beech willow maple chestnut pine birch elm apple cherry walnut pear ash cedar linden fir
plum poplar hawthorn alder rowan
""")

BIRDS = _words("""
sparrow robin blackbird thrush swallow wren finch starling magpie pigeon woodpecker jay lark
nightingale cuckoo heron goose seagull kingfisher
""")

INSECTS = _words("""
ladybug beetle butterfly bumblebee cricket dragonfly snail ant moth grasshopper
""")

COLLECTED = _phrases("""
acorns|smooth pebbles|pine cones|bottle caps|postcards|pressed leaves|odd buttons|feathers|seashells
bus tickets|foreign coins|shiny wrappers|snail shells|chestnuts|wine corks|fossils|keys without locks
""")

GAMES = _phrases("""
hide-and-seek|tag|hopscotch|leapfrog|pirates|knights and dragons|marbles|jump rope|follow the leader
explorers|detectives|school|shops|charades|catch|checkers|dominoes|blind man's buff|astronauts
circus|king of the hill|musical chairs|doctors|treasure hunters
""")

JOBS = _phrases("""
baker|carpenter|librarian|fisherman|gardener|postman|shoemaker|farmer|clockmaker|tailor|painter
blacksmith|nurse|beekeeper|potter|lighthouse keeper|train driver|cheesemaker|doctor|weaver|miller
bus driver|shepherd|plumber|glassblower|ferryman|florist|bookbinder|cook|mechanic|musician|teacher
""")
