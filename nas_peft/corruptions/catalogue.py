"""The corruptions by name, with their published parameters, and which of them may be tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from nas_peft.corruptions import blur, digital, noise, weather
from nas_peft.corruptions.batch import Function, Parameters
from search_spaces.errors import unknown_name

Use: TypeAlias = Literal["test", "choice"]
"""Whether a corruption is one that models are tested on, or one by which they are chosen."""

SEVERITIES = (1, 2, 3, 4, 5)
LARGEST_SMALL = 64
"""Longest side in pixels of a picture that takes the parameters of CIFAR-C; larger ones take ImageNet-C's."""

_OF_ELASTIC = 244 / 224  # ImageNet-C computes with 244 pixels for pictures of 224


@dataclass(frozen=True)
class Corruption:
    """A corruption of ImageNet-C and CIFAR-C (Hendrycks and Dietterich 2019, arXiv 1903.12261).

    Attributes:
        name: its name in these sets.
        group: noise, blur, weather or digital.
        use: `Use`; the fifteen of the benchmark are for the test, its four extra ones for choosing.
        function: changes a batch of pictures by parameters.
        large: parameters at the severities 1 to 5 for pictures of 224 pixels, those of ImageNet-C.
        small: the same for pictures of 32 pixels, those of CIFAR-C.
    """

    name: str
    group: str
    use: Use
    function: Function
    large: tuple[Parameters, ...]
    small: tuple[Parameters, ...]

    def parameters(self, severity: int, side: int) -> Parameters:
        """The parameters at a severity from 1 to 5, for pictures whose longest side is ``side`` pixels."""
        return (self.small if side <= LARGEST_SMALL else self.large)[severity - 1]


def _single(*values: float) -> tuple[Parameters, ...]:
    return tuple((value,) for value in values)


CORRUPTIONS: dict[str, Corruption] = {
    corruption.name: corruption
    for corruption in (
        Corruption(
            "gaussian_noise",
            "noise",
            "test",
            noise.gaussian_noise,
            _single(0.08, 0.12, 0.18, 0.26, 0.38),
            _single(0.04, 0.06, 0.08, 0.09, 0.10),
        ),
        Corruption(
            "shot_noise",
            "noise",
            "test",
            noise.shot_noise,
            _single(60, 25, 12, 5, 3),
            _single(500, 250, 100, 75, 50),
        ),
        Corruption(
            "impulse_noise",
            "noise",
            "test",
            noise.impulse_noise,
            _single(0.03, 0.06, 0.09, 0.17, 0.27),
            _single(0.01, 0.02, 0.03, 0.05, 0.07),
        ),
        Corruption(
            "defocus_blur",
            "blur",
            "test",
            blur.defocus_blur,
            ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
            ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        ),
        Corruption(
            "glass_blur",
            "blur",
            "test",
            blur.glass_blur,
            ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
            ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        ),
        Corruption(
            "motion_blur",
            "blur",
            "test",
            blur.motion_blur,
            ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
            ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        ),
        Corruption(
            "zoom_blur",
            "blur",
            "test",
            blur.zoom_blur,
            ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
            ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        ),
        Corruption(
            "snow",
            "weather",
            "test",
            weather.snow,
            (
                (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
                (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
                (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
                (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
                (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
            ),
            (
                (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
                (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
                (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
                (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
                (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
            ),
        ),
        Corruption(
            "frost",
            "weather",
            "test",
            weather.frost,
            ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
            ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
        ),
        Corruption(
            "fog",
            "weather",
            "test",
            weather.fog,
            ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
            ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        ),
        Corruption(
            "brightness",
            "weather",
            "test",
            weather.brightness,
            _single(0.1, 0.2, 0.3, 0.4, 0.5),
            _single(0.05, 0.1, 0.15, 0.2, 0.3),
        ),
        Corruption(
            "contrast",
            "digital",
            "test",
            digital.contrast,
            _single(0.4, 0.3, 0.2, 0.1, 0.05),
            _single(0.75, 0.5, 0.4, 0.3, 0.15),
        ),
        Corruption(
            "elastic_transform",
            "digital",
            "test",
            digital.elastic_transform,
            tuple(
                tuple(_OF_ELASTIC * share for share in shares)
                for shares in (
                    (2, 0.7, 0.1),
                    (2, 0.08, 0.2),
                    (0.05, 0.01, 0.02),
                    (0.07, 0.01, 0.02),
                    (0.12, 0.01, 0.02),
                )
            ),
            ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
        ),
        Corruption(
            "pixelate",
            "digital",
            "test",
            digital.pixelate,
            _single(0.6, 0.5, 0.4, 0.3, 0.25),
            _single(0.95, 0.9, 0.85, 0.75, 0.65),
        ),
        Corruption(
            "jpeg_compression",
            "digital",
            "test",
            digital.jpeg_compression,
            _single(25, 18, 15, 10, 7),
            _single(80, 65, 58, 50, 40),
        ),
        Corruption(
            "speckle_noise",
            "noise",
            "choice",
            noise.speckle_noise,
            _single(0.15, 0.2, 0.35, 0.45, 0.6),
            _single(0.06, 0.1, 0.12, 0.16, 0.2),
        ),
        Corruption(
            "gaussian_blur",
            "blur",
            "choice",
            blur.gaussian_blur,
            _single(1, 2, 3, 4, 6),
            _single(0.4, 0.6, 0.7, 0.8, 1),
        ),
        Corruption(
            "spatter",
            "weather",
            "choice",
            weather.spatter,
            (
                (0.65, 0.3, 4, 0.69, 0.6, False),
                (0.65, 0.3, 3, 0.68, 0.6, False),
                (0.65, 0.3, 2, 0.68, 0.5, False),
                (0.65, 0.3, 1, 0.65, 1.5, True),
                (0.67, 0.4, 1, 0.65, 1.5, True),
            ),
            (
                (0.62, 0.1, 0.7, 0.7, 0.5, False),
                (0.65, 0.1, 0.8, 0.7, 0.5, False),
                (0.65, 0.3, 1, 0.69, 0.5, False),
                (0.65, 0.1, 0.7, 0.69, 0.6, True),
                (0.65, 0.1, 0.5, 0.68, 0.6, True),
            ),
        ),
        Corruption(
            "saturate",
            "digital",
            "choice",
            digital.saturate,
            ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
            ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
        ),
    )
}


def corruptions_for(use: Use) -> tuple[str, ...]:
    """The names of the corruptions for a use, in the order of the published sets; no name is in both."""
    return tuple(c.name for c in CORRUPTIONS.values() if c.use == use)


def named_corruptions(names: Sequence[str], use: Use) -> tuple[str, ...]:
    """The ``names``, in the order of the published sets, each once.

    Raises `InputError` for a name that is no corruption for this use, with the nearest one: what models are
    chosen by is never tested on.
    """
    allowed = corruptions_for(use)
    for name in names:
        if name not in allowed:
            kept_apart = (
                f"'{name}' is kept for {'choosing' if use == 'test' else 'the test'}."
                if name in CORRUPTIONS
                else f"Known are {', '.join(allowed)}."
            )
            raise unknown_name(f"corruption for the {use}", name, allowed, kept_apart)
    return tuple(name for name in allowed if name in names)
