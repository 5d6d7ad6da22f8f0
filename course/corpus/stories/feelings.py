"""How somebody feels, shown more often than named; for the hero's slots."""
# ruff: noqa: E501 - a template is a line of prose; broken up it could not be read as one

SAD = (
    "<his> {lip|chin} {trembled|began to tremble}.",
    "a {tear|big tear} {rolled|ran} down <his> {cheek|nose}.",
    "<his> shoulders {sank|drooped}.",
    "<he> felt {very sad|as heavy as a stone|like crying}.",
    "<his> heart {sank|felt like lead|grew heavy}.",
    "<he> {swallowed hard|blinked back <his> tears|sat down and hid <his> face}.",
)
HAPPY = (
    "<he> {laughed|giggled} {out loud|until <his> sides ached|with delight}.",
    "<he> {danced|skipped|twirled} {around in a circle|for joy}.",
    "<his> eyes {shone|sparkled|twinkled} like stars.",
    "a {smile|grin} spread {over|across} <his> face.",
    "<he> had {never|seldom} been so happy.",
    "<he> felt {warm all over|as light as a feather|ten feet tall}.",
)
AFRAID = (
    "<his> heart {thumped|pounded|hammered} like a drum.",
    "<his> knees {shook|wobbled|felt like jelly}.",
    "a {shiver|chill} ran down <his> back.",
    "<he> held <his> breath.",
    "<his> mouth {went dry|felt as dry as sand}.",
    "<he> wanted to {run away|hide|be anywhere else}.",
)
ANGRY = (
    "<he> {stamped <his> foot|crossed <his> arms|scowled}.",
    "<his> face turned {red|as red as a beet}.",
    "<he> was so {cross|angry|annoyed} that <he> {could not speak|kicked a stone}.",
)
GUILTY = (
    "<he> {could not look up|stared at the ground}.",
    "there was a {knot|lump|cold feeling} in <his> {stomach|throat|belly}.",
    "<his> ears {burned|felt hot}.",
    "<he> felt {ashamed|small|terrible} inside.",
)
TOGETHER = (
    "they {sat side by side|shared <treat>|told each other jokes} until {the sun went down|it was time for supper|the first star came out}.",
    "they {laughed|talked|sang} all the way home.",
    "that evening, they {watched the moon rise|ate supper together|told the story again and again}.",
    "and they played together until {dusk|it grew dark|the lamps were lit}.",
)
TOGETHER_WILD = (
    "they {sat side by side|shared some <food>|told each other jokes} until {the sun went down|the first star came out}.",
    "they {laughed|chattered|sang} all the way home.",
    "that evening, they {watched the moon rise|ate supper together|told the story again and again}.",
)
EVENING = (
    "that night, <he> {fell asleep with a smile|slept better than ever|dreamed of it all over again}.",
    "when <he> went to bed, <he> {thought about the day for a long time|was still smiling}.",
    "the {moon|last light} looked in, and <he> was {already|soon} {fast asleep|dreaming}.",
)
