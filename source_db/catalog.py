"""What the marketplace sells, where and in which money: the generator's fixed tables."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

# Units of the currency per US dollar, roughly: prices only need to look right.
CURRENCIES: dict[str, float] = {
    "USD": 1.0,
    "EUR": 0.92,
    "GBP": 0.79,
    "JPY": 150.0,
    "CAD": 1.37,
    "AUD": 1.52,
    "CHF": 0.88,
    "CNY": 7.2,
    "INR": 84.0,
    "KRW": 1370.0,
}
CURRENCY_CODES = pa.array(CURRENCIES)
PER_DOLLAR = np.array(list(CURRENCIES.values()))
# The smallest amount in hundredths: yen and won have no decimals (ISO 4217).
SMALLEST_UNIT = np.array([100 if code in ("JPY", "KRW") else 1 for code in CURRENCIES], dtype=np.int64)

# Country, currency of its shops, share of the users, sales tax in percent, Faker locale of its people.
# XK (Kosovo) is in use without being in ISO 3166-1, as real sources have it.
_COUNTRIES: list[tuple[str, str, float, int, str]] = [
    ("US", "USD", 0.34, 8, "en_US"),
    ("DE", "EUR", 0.10, 19, "de_DE"),
    ("GB", "GBP", 0.12, 20, "en_GB"),
    ("FR", "EUR", 0.08, 20, "fr_FR"),
    ("ES", "EUR", 0.04, 21, "es_ES"),
    ("IT", "EUR", 0.04, 22, "it_IT"),
    ("NL", "EUR", 0.03, 21, "nl_NL"),
    ("CA", "CAD", 0.06, 13, "en_CA"),
    ("AU", "AUD", 0.04, 10, "en_AU"),
    ("JP", "JPY", 0.04, 10, "ja_JP"),
    ("CH", "CHF", 0.02, 8, "de_CH"),
    ("CN", "CNY", 0.02, 13, "zh_CN"),
    ("IN", "INR", 0.03, 18, "hi_IN"),
    ("KR", "KRW", 0.02, 10, "ko_KR"),
    ("BR", "USD", 0.012, 17, "pt_BR"),
    ("MX", "USD", 0.007, 16, "es_MX"),
    ("XK", "EUR", 0.001, 18, "en_US"),
]
COUNTRIES = [row[0] for row in _COUNTRIES]
COUNTRY_CODES = pa.array(COUNTRIES)
COUNTRY_CURRENCY = np.array([list(CURRENCIES).index(row[1]) for row in _COUNTRIES])
COUNTRY_SHARE = np.array([row[2] for row in _COUNTRIES]) / sum(row[2] for row in _COUNTRIES)
COUNTRY_TAX = np.array([row[3] for row in _COUNTRIES], dtype=np.int64)
COUNTRY_LOCALE = [row[4] for row in _COUNTRIES]

TIERS = pa.array(["bronze", "silver", "gold", "platinum"])
PROVIDERS = pa.array(["stripe", "paypal", "adyen", "klarna"])

_TREE: dict[str, dict[str, list[str]]] = {
    "Electronics": {
        "Phones & Tablets": ["Smartphones", "Tablets", "Chargers & Cables"],
        "Computers": ["Laptops", "Monitors", "Keyboards & Mice"],
        "Audio": ["Headphones", "Speakers", "Turntables"],
    },
    "Fashion": {
        "Women": ["Dresses", "Coats", "Shoes for Women"],
        "Men": ["Shirts", "Jackets", "Shoes for Men"],
        "Accessories": ["Watches", "Bags", "Scarves & Hats"],
    },
    "Home & Garden": {
        "Kitchen": ["Cookware", "Tableware", "Small Appliances"],
        "Furniture": ["Chairs", "Desks", "Shelves"],
        "Garden": ["Plants", "Garden Tools"],
    },
    "Sports & Outdoors": {
        "Cycling": ["Bicycles", "Bicycle Parts"],
        "Fitness": ["Weights", "Yoga"],
        "Camping": ["Tents", "Sleeping Bags", "Camp Stoves"],
    },
    "Books & Media": {
        "Books": ["Fiction", "Non-fiction", "Books for Children"],
        "Music": ["Vinyl", "CDs"],
    },
    "Toys & Games": {
        "Board Games": ["Strategy Games", "Party Games"],
        "Building Sets": ["Bricks", "Model Railways"],
    },
    "Beauty & Health": {
        "Skin Care": ["Creams", "Sunscreen"],
        "Fragrance": ["Perfume", "Candles"],
    },
    "Art & Collectibles": {
        "Prints": ["Posters", "Photographs"],
        "Antiques": ["Coins", "Clocks"],
    },
}


@dataclass(frozen=True)
class Category:
    id: int
    name: str
    slug: str
    parent_id: int | None
    level: int


def categories() -> list[Category]:
    """The tree, parents before children; level 1 is a root."""
    found: list[Category] = []

    def add(name: str, parent: Category | None) -> Category:
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        category = Category(
            len(found) + 1, name, slug, parent.id if parent else None, parent.level + 1 if parent else 1
        )
        found.append(category)
        return category

    for root_name, branches in _TREE.items():
        root = add(root_name, None)
        for branch_name, leaves in branches.items():
            branch = add(branch_name, root)
            for leaf_name in leaves:
                add(leaf_name, branch)
    return found


def convert(hundredths: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Amounts of currency ``source`` in currency ``target``, rounded to the target's smallest unit, at least one."""
    unit = SMALLEST_UNIT[target]
    exact = hundredths * (PER_DOLLAR[target] / PER_DOLLAR[source])
    return np.where(source == target, hundredths, np.maximum(np.rint(exact / unit).astype(np.int64), 1) * unit)


def rounded(hundredths: np.ndarray, currency: np.ndarray) -> np.ndarray:
    """Amounts down to their currency's smallest unit."""
    unit = SMALLEST_UNIT[currency]
    return hundredths // unit * unit
