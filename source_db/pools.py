"""Words to sample from: names, places and texts by Faker, and texts that break careless readers."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pyarrow as pa
from faker import Faker

from source_db.catalog import COUNTRY_LOCALE

NAMES_PER_COUNTRY = 60
CITIES_PER_COUNTRY = 40

# Each must arrive exactly as it left: emoji beyond the basic plane and joined ones, quotes of both kinds, separators
# of CSV and JSON, backslashes, scripts from right to left, combining accents, spaces at the ends, markup.
EMOJI_TITLES = pa.array(["Space puzzle 🚀🧩", "Family mug 👨‍👩‍👧‍👦", "抹茶セット 🍵", "Flag set 🏴‍☠️🎏 (12 pcs)"])
QUOTED_TITLES = pa.array(
    ['27" Monitor "Pro", 4K', 'Children\'s "Space" Puzzle', "O'Neill ''doubled'' quotes", "'single' \"double\" `back`"]
)
ODD_TITLES = pa.array(
    [
        "Café crème cups; set of 2, 50% off!",
        "C:\\temp\\backup drive \\N",
        "Tab\there, newline\nthere",
        "ثوب صيفي أزرق",
        "Cafe\u0301 poster with a combining accent",
        "  spaces at both ends  ",
        "<b>Bold</b> &amp; {curly} [square] %percent $dollar",
        "NULL",
    ]
)
ADJECTIVES = pa.array(
    [
        "Classic",
        "Compact",
        "Folding",
        "Handmade",
        "Vintage",
        "Portable",
        "Premium",
        "Recycled",
        "Wireless",
        "Lightweight",
        "Oak",
        "Steel",
        "Linen",
        "Ceramic",
        "Organic",
        "Waterproof",
        "Adjustable",
        "Modern",
        "Rustic",
        "Signature",
    ]
)
VARIANTS = pa.array(["S", "M", "L", "XL", "2 Pack", "Black", "Blue", "Green", "Red", "White", "Mk II", "2025 Edition"])

# Literals of text[]: plain ones, then awkward ones (NULL elements, none at all, quoting).
TAGS = pa.array(
    [
        "{new}",
        "{sale,summer}",
        "{gift}",
        "{eco,handmade}",
        "{bestseller,gift,sale}",
        "{winter}",
        "{}",
        '{"two words","comma, inside","quote \\" inside"}',
        '{"",empty}',
    ]
)
TAGS_WITH_NULL = pa.array(["{NULL}", "{sale,NULL,gift}", '{"NULL",NULL}'])

ATTRIBUTES = pa.array(
    [
        json.dumps(value)
        for value in (
            {"color": "black", "weight_kg": 1.25},
            {"color": "blue", "size": "M", "in_sets": [1, 2, 4]},
            {"material": "oak", "dimensions": {"w": 40, "h": 75.5, "d": 38}},
            {"warranty_years": 2, "refurbished": False},
            {"color": None, "note": ""},
            {},
        )
    ]
)
NESTED_ATTRIBUTES = pa.array(
    [
        '{"matrix": [[1, 2], [3, [4, null]], []]}',
        '{"parts": [{"name": "lid \\"A\\"", "sizes": [[10, 20], [30]]}], "unicode": "\\u00e9 🧵"}',
        '{"deep": {"er": [[[["bottom"]]]]}, "exact": 12345678901234567890.1234567890}',
    ]
)

AWKWARD_BODIES = pa.array(
    [
        "",
        "He said \"never again\", she said 'again'.",
        "Line one\nline two\r\nline three\tafter a tab",
        "5★ 😍😍 would buy again!!! 🎁",
        "\\N",
        "جيد جدا",
        "a,b;c|d",
    ]
)


@dataclass(frozen=True)
class Pools:
    """Sampled by index; names and places of country ``c`` start at ``c`` × the number per country."""

    first_names: pa.Array
    last_names: pa.Array
    cities: pa.Array
    postal_codes: pa.Array
    descriptions: pa.Array
    review_titles: pa.Array
    review_bodies: pa.Array


def make_pools(seed: int) -> Pools:
    """The pools of ``seed``: equal for equal seeds and Faker versions."""
    first_names, last_names, cities, postal_codes = [], [], [], []
    for number, locale in enumerate(COUNTRY_LOCALE):
        fake = Faker(locale)
        fake.seed_instance(seed * 1000 + number)
        first_names += [fake.first_name() for _ in range(NAMES_PER_COUNTRY)]
        last_names += [fake.last_name() for _ in range(NAMES_PER_COUNTRY)]
        cities += [fake.city() for _ in range(CITIES_PER_COUNTRY)]
        postal_codes += [fake.postcode() for _ in range(CITIES_PER_COUNTRY)]
    fake = Faker("en_US")
    fake.seed_instance(seed * 1000 + 999)
    return Pools(
        first_names=pa.array(first_names),
        last_names=pa.array(last_names),
        cities=pa.array(cities),
        postal_codes=pa.array(postal_codes),
        descriptions=pa.array([fake.paragraph(3) for _ in range(200)]),
        review_titles=pa.array([fake.sentence(4).rstrip(".") for _ in range(150)]),
        review_bodies=pa.array([fake.paragraph(2) for _ in range(300)]),
    )
