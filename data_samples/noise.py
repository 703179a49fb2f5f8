"""Captions that say nothing of the picture, as much of the web's alt-text does, and a few with hostile markup."""

from __future__ import annotations

import random
from collections.abc import Callable

from data_samples.captions import tell_scene
from data_samples.languages import tell_scene_abroad
from data_samples.scenes import Scene

__all__ = ["NOISE_KINDS", "tell_noise"]

_HEX = "0123456789abcdef"
_UPPER = "ABCDEFGHJKLMNPQRSTUVWXYZ"

_BOILERPLATE = (
    "IMAGE NOT AVAILABLE",
    "ADD TO CART",
    "SALE",
    "NEW ARRIVAL",
    "NO IMAGE",
    "FREE SHIPPING",
    "SOLD OUT",
    "Untitled",
    "Thumbnail",
    "Loading...",
    "Placeholder",
    "Advertisement",
    "ALL RIGHTS RESERVED",
    "Quick View",
    "READ MORE",
    "View Larger Image",
    "Product Photo",
    "Featured Image",
    "Screenshot",
    "Logo",
    "default_image",
    "img_alt_text",
    "undefined",
    "[object Object]",
    "%E2%80%A6",
    "....",
    "-",
    "click to enlarge",
    "image may contain: one or more items",
    "click here to see the full size image",
    "Copyright © all rights reserved",
    "photo via email",
    "Home | Shop | About | my account",
    "you need to enable cookies to see this image",
    "sign up for our newsletter",
    "null",
)

# One pair in a hundred carries one of these: what shows a caption must show it as text.
_MARKUP: tuple[str, ...] = (
    "<b>{}</b>",
    "<p>{}<br/></p>",
    "<script>alert(1)</script> {}",
    "<img src=x onerror=alert(1)> {}",
    '<a href="https://example.org/">{}</a>',
    "![{}](https://example.org/x.png)",
    "![x](https://example.org/x.png) {}",
    "[{}](https://example.com/)",
    "**{}** _new_",
    "# {}",
    "`{}`",
    r"{} $\frac{{1}}{{2}}$",
    r"$$\int_0^1 x\,dx$$ {}",
    r"\textbf{{{}}}",
    "\u202e{}",
    "{} &amp; more",
    "&lt;i&gt;{}&lt;/i&gt;",
    "{}\nsecond line\tafter a tab",
    "{}  with   runs of  spaces",
    '=HYPERLINK("https://example.org","{}")',
    ":red[{}] :smile:",
    "'; DROP TABLE images; -- {}",
)


def _digits(rng: random.Random, n: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(n))


def _letters(rng: random.Random, n: int, alphabet: str) -> str:
    return "".join(rng.choice(alphabet) for _ in range(n))


def _date(rng: random.Random, form: str) -> str:
    return form.format(y=rng.randint(2003, 2023), m=rng.randint(1, 12), d=rng.randint(1, 28))


def _file_name(rng: random.Random, scene: Scene) -> str:
    number = _digits(rng, 4)
    stem = rng.choice(
        (
            f"IMG_{number}",
            f"IMG_{number}",
            f"DSC_{number}",
            f"DSC0{number}",
            f"DSCN{number}",
            f"dsc_{number}",
            f"P101{number}",
            f"{_date(rng, '{y}{m:02}{d:02}')}_{_digits(rng, 6)}",
            f"PXL_{_date(rng, '{y}{m:02}{d:02}')}_{_digits(rng, 9)}",
            f"image{_digits(rng, 3)}",
            f"{_letters(rng, 10, _HEX)}_o",
        )
    )
    return stem + rng.choice((".JPG", ".jpg", ".jpg", ".jpeg", ".png", ""))


def _id(rng: random.Random, scene: Scene) -> str:
    groups = (8, 4, 4, 4, 12)
    return rng.choice(
        (
            f"SKU-{_digits(rng, 5)}-{_letters(rng, 3, _UPPER)}",
            f"B0{_letters(rng, 8, _UPPER + '0123456789')}",
            f"#{_digits(rng, 8)}",
            f"ID:{_digits(rng, 7)}",
            "-".join(_letters(rng, n, _HEX) for n in groups),
            f"Art.-Nr. {_digits(rng, 6)}",
            f"No. {rng.randint(1, 99)}",
            f"{_letters(rng, 2, _UPPER)}{_digits(rng, 4)}_{rng.randint(1, 9)}",
        )
    )


def _written_date(rng: random.Random, scene: Scene) -> str:
    form = rng.choice(
        ("{y}-{m:02}-{d:02}", "{y}/{m:02}/{d:02}", "{m:02}/{d:02}/{y}", "{d}.{m}.{y}", "{y}-{m:02}-{d:02}T10:42:17Z")
    )
    return _date(rng, form)


def _price(rng: random.Random, scene: Scene) -> str:
    whole, cents = rng.choice((4, 9, 19, 24, 49, 99, 149, 299)), rng.choice(("99", "95", "50", "00"))
    return rng.choice(
        (f"${whole}.{cents}", f"${whole}.99", f"${whole}", f"€{whole},{cents}", f"£{whole}", f"SALE: ${whole}.{cents}")
    )


def _boilerplate(rng: random.Random, scene: Scene) -> str:
    return rng.choice(_BOILERPLATE)


def _exif(rng: random.Random, scene: Scene) -> str:
    maker = rng.choice(("EOS 5D", "D750", "ILCE-7M3", "X-T2"))
    return f"{maker}, f/{rng.choice(('1.8', '2.8', '4', '5.6'))}, 1/{rng.choice((60, 250, 500))}s, ISO{rng.choice((100, 400))}"


def _address(rng: random.Random, scene: Scene) -> str:
    path = _letters(rng, 6, _HEX)
    return rng.choice((f"https://example.org/p/{path}?size=large", f"www.example.com/{path}.html", f"@user{path}"))


def _markup(rng: random.Random, scene: Scene) -> str:
    return rng.choice(_MARKUP).format(tell_scene(rng, scene))


_TELLERS: dict[str, tuple[Callable[[random.Random, Scene], str], int]] = {
    "file_name": (_file_name, 18),
    "id": (_id, 8),
    "date": (_written_date, 12),
    "price": (_price, 19),
    "boilerplate": (_boilerplate, 16),
    "language": (tell_scene_abroad, 21),
    "exif": (_exif, 6),
    "address": (_address, 5),
    "markup": (_markup, 8),
}

NOISE_KINDS = tuple(_TELLERS)


def tell_noise(rng: random.Random, scene: Scene) -> tuple[str, str]:
    """The kind of noise and the caption."""
    kind = rng.choices(NOISE_KINDS, [weight for _, weight in _TELLERS.values()])[0]
    return kind, _TELLERS[kind][0](rng, scene)
