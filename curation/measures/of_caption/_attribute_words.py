"""English words that say how something looks, by kind, and words that count.

The lists are this project's own. Colours begin with the eleven basic colour terms of English (Berlin and Kay 1969,
"Basic Color Terms"); the others hold what is usual of its kind in English, without words that are first of all things
(tomato, chocolate, leopard). Captions in other languages have no such word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

_LISTS = {
    "colours": """
        black white red green yellow blue brown purple pink orange grey gray amber aqua auburn azure beige blond
        blonde bluish brownish brunette burgundy colored colorful colorless colour coloured colourful colourless
        cream crimson cyan fuchsia gold golden greenish greyish grayish indigo ivory khaki lavender lilac
        magenta maroon mauve multicolor multicolored multicolour multicoloured mustard navy ochre olive pinkish
        purplish reddish scarlet silver silvery tan taupe teal turquoise ultramarine vermilion violet whitish
        yellowish
    """,
    "materials": """
        acrylic alabaster aluminium aluminum bamboo brass brick bronze burlap canvas cardboard cashmere
        cast-iron ceramic chiffon chrome clay concrete copper corduroy cotton denim earthenware enamel fabric
        faux felt fiberglass fleece glass gold golden granite iron jade jute knit knitted lace leather linen
        marble mesh metal metallic mohair nylon paper papier-mache pewter plaster plastic platinum plush plywood
        polyester porcelain rattan rubber sandstone satin sequined silicone silk silken silver sisal slate
        stainless steel stone stoneware straw suede taffeta terracotta thatched tile tiled tin titanium tulle
        tweed velvet vinyl wicker wire wood wooden wool woolen woollen
    """,
    "sizes": """
        big bigger biggest broad bulky chunky colossal compact deep enormous extra-large full-size giant
        gigantic great huge immense jumbo king-size large larger largest life-size little long longer longest
        low low-rise mammoth massive medium medium-sized micro mini miniature narrow oversize oversized petite
        pocket-sized shallow short shorter shortest slender slim small smaller smallest tall taller tallest
        thick thin tiny towering vast wide wider widest
    """,
    "shapes": """
        angular arched bent circular conical crooked cubic curled curly curved curvy cylindrical diagonal domed
        flat heart-shaped hexagonal hollow octagonal oval pointed pointy rectangular round rounded semicircular
        spherical spiral square star-shaped straight triangular twisted wavy winding
    """,
    "patterns": """
        banded brindle camouflage checked checkered chequered colour-blocked dappled dotted embroidered embossed
        engraved floral freckled geometric herringbone marbled mottled ombre paisley patchwork patterned piebald
        plaid polka-dot printed quilted speckled spotted spotty striped stripy tabby tartan tie-dye tie-dyed
        woven zigzag
    """,
    "surfaces": """
        bare broken bumpy clean coarse cracked crisp crumpled dirty distressed dry dusty faded fluffy frosted
        frosty frozen furry fuzzy glittering glittery glossy hairy hard icy lacquered matt matte mossy muddy
        opaque painted peeling polished prickly reflective ripped rough rugged rusted rusty scaly shaggy shiny
        silky smooth snowy snow-covered soft sparkling sparkly stained sticky torn translucent transparent
        unpainted varnished weathered wet wrinkled
    """,
    "ages": """
        adult aged ageing aging ancient antique baby brand-new contemporary elderly fresh futuristic historic
        infant juvenile mature medieval middle-aged modern new newborn old older oldest old-fashioned
        prehistoric retro teenage vintage young younger youngest youthful
    """,
}
LISTS: Mapping[str, frozenset[str]] = {kind: frozenset(words.split()) for kind, words in _LISTS.items()}
"""The words of each kind of attribute; a word may be of several."""
_NUMBERS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand thousands
million millions billion billions dozen dozens pair pairs couple single double triple twin half quarter first
second third fourth fifth sixth seventh eighth ninth tenth
"""
NUMBERS = frozenset(_NUMBERS.split())
"""Words that count or order; a word with a digit does so too."""
KINDS = (*LISTS, "numbers")


@lru_cache(maxsize=1 << 17)
def kinds_of_word(word: str) -> frozenset[str]:
    """Say of which kinds a word is: itself, or one of its pieces between hyphens (`red-haired` is of a colour).

    Args:
        word: Case folded, without punctuation at its ends.
    """
    pieces = {word, *word.split("-")} - {""}
    found = {kind for kind, words in LISTS.items() if pieces & words}
    if pieces & NUMBERS or any(character.isdecimal() for character in word):
        found.add("numbers")
    return frozenset(found)


def attributes_of(words: Iterable[str]) -> list[str]:
    """List the words that are attributes, each once, in order; numbers are none."""
    return sorted({word for word in words if kinds_of_word(word) - {"numbers"}})
