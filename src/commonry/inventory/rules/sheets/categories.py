"""Our category for a stranger's word: by slug, by name, then by the words they share.

A shared word counts the more the fewer categories have it, so that “Gardening Tools” is garden, and “Electrical Tools”
is tools. What remains unknown becomes `other`; the report shows every choice.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction

from commonry.contracts.inventory import Category
from commonry.inventory.rules.sheets.headings import plain

OTHER = "other"

_KIN = {
    stranger: ours
    for ours, strangers in {
        "tools": "tool diy hardware workshop measuring layout clamp jig carpentry woodworking plumbing painting"
        " electrical werkzeug heimwerken ladder automotive repair outils herramientas",
        "power": "cordless elektrowerkzeug maschinen",
        "garden": "gardening lawn yard outdoor plants landscaping garten jardin",
        "camping": "tent hiking travel trekking luggage backpack zelt reise",
        "bikes": "bicycle cycling cycle fahrrad rad velo trailer",
        "cameras": "camera photography photo film video optics kamera",
        "music": "instrument audio sound musical musik",
        "kitchen": "baking cooking cookware bakeware household home appliance food canning kuche haushalt cuisine",
        "party": "event celebration festival wedding feier fest",
        "kids": "baby child children toddler toy infant nursery kinder spielzeug",
        "sports": "sport fitness exercise water ski winter games-outdoor boat",
        "electronics": "technology computer electronic tech office gadget it laptop projector elektronik buro",
        "books": "book game puzzle board reading media bucher spiele",
        "games": "game puzzle boardgame",
        "sewing": "craft textile clothing fabric knitting quilting nahen basteln",
        "cleaning": "cleaner vacuum reinigung putzen",
    }.items()
    for stranger in strangers.split()
}
_EMPTY_WORDS = frozenset(
    "and the of for other others misc miscellaneous various general equipment stuff things sonstige".split()
)


def matched(words: Iterable[str], categories: Sequence[Category]) -> dict[str, str]:
    """Each of their words → the slug of ours."""
    named = {plain(name): c.slug for c in categories for name in (c.name, c.slug)}
    stems = {c.slug: _stems(c.slug) | _stems(c.name) for c in categories if c.slug != OTHER}
    spread = Counter(stem for several in stems.values() for stem in several)
    return {word: named.get(plain(word)) or _nearest(word, stems, spread) for word in words}


def _nearest(word: str, stems: dict[str, frozenset[str]], spread: Counter[str]) -> str:
    """The category that shares the rarest words; of equals the one with the least besides."""
    direct = _stems(word)
    kin = frozenset(_stem(_KIN_STEMS[stem]) for stem in direct if stem in _KIN_STEMS) - direct

    def fitness(slug: str) -> tuple[Fraction, Fraction]:
        shared = sum((Fraction(2, spread[s]) for s in direct & stems[slug]), Fraction(0))
        related = sum((Fraction(1, spread[s]) for s in kin & stems[slug]), Fraction(0))
        own = _stems(slug)
        return shared + related, Fraction(len(own & (direct | kin)), len(own) or 1)

    best = max(stems, key=fitness, default=OTHER)
    return best if best in stems and fitness(best)[0] else OTHER


def _stems(text: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in plain(text).split() if word not in _EMPTY_WORDS)


def _stem(word: str) -> str:
    """Roughly what `Gardening`, `Gardens` and `garden` have in common."""
    singular = re.sub(r"(?<=..)ies$", "y", word)
    return re.sub(r"(?<=...)(ing|es|s|e)$", "", singular)


_KIN_STEMS = {_stem(stranger): ours for stranger, ours in _KIN.items()}
