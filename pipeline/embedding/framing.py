"""From an image of any shape to the pixels that a model looks at: open_clip's evaluation transform, in Pillow alone.

The processes that decode use this, since loading torch would take each of them seconds. It gives the very bytes that
the transform has before it makes floating-point numbers of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # a plan names framings, and is read where no image is
    from PIL import Image

Decoder = Literal["pillow", "simplejpeg"]
MODES = ("shortest", "longest", "squash")


@dataclass(frozen=True, slots=True)
class Framing:
    """How an image file becomes the pixels of one encoder.

    Attributes:
        tall: Pixels from top to bottom.
        wide: Pixels from left to right.
        mode: `shortest` cuts off what stands over, `longest` fills up what is missing, `squash` keeps everything.
        resampling: `bicubic` or `bilinear`.
        fill: Red, green and blue of what is filled up.
        decoder: What decodes a JPEG.
        crop: Pixels that are cut off on every side before anything else.
    """

    tall: int
    wide: int
    mode: str = "shortest"
    resampling: str = "bicubic"
    fill: tuple[int, int, int] = (0, 0, 0)
    decoder: Decoder = "pillow"
    crop: int = 0

    @property
    def bytes(self) -> int:
        """Size of one framed image."""
        return self.tall * self.wide * 3

    def resized(self, wide: int, tall: int) -> tuple[int, int]:
        """Say to which width and height an image of `wide` × `tall` pixels is brought before it is cut or filled up."""
        if self.mode == "squash":
            return self.wide, self.tall
        if self.mode == "shortest" and self.tall == self.wide:
            longer = int(self.tall * max(wide, tall) / min(wide, tall))
            return (self.wide, longer) if wide <= tall else (longer, self.tall)
        ratios = tall / self.tall, wide / self.wide
        ratio = max(ratios) if self.mode == "longest" else min(ratios)
        return round(wide / ratio), round(tall / ratio)

    def frame(self, image: Image.Image, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Frame an RGB image, its border cut off.

        Args:
            image: The image.
            size: Width and height of which it is a reduced copy; its own if omitted.

        Returns:
            `(tall, wide, 3)` uint8.

        Raises:
            ValueError: If a side of it would have no pixel.
        """
        # Pillow takes a box that ends before it begins for a mistake, and gives an empty image for an empty one.
        if min(image.size) <= 2 * self.crop:
            raise ValueError("nothing is left of it")
        if self.crop:
            image = image.crop((self.crop, self.crop, image.width - self.crop, image.height - self.crop))
        target = self.resized(*(size or image.size))
        if image.size != target:
            from PIL import Image

            image = image.resize(target, Image.Resampling[self.resampling.upper()])
        return np.asarray(self._cut(self._filled_up(image)), dtype=np.uint8)

    def _filled_up(self, image: Image.Image) -> Image.Image:
        across, down = max(0, self.wide - image.width), max(0, self.tall - image.height)
        if not across and not down:
            return image
        border = (across // 2, down // 2, (across + 1) // 2, (down + 1) // 2)
        from PIL import ImageOps

        return ImageOps.expand(image, border, fill=self.fill)

    def _cut(self, image: Image.Image) -> Image.Image:
        if image.size == (self.wide, self.tall):
            return image
        left, top = round((image.width - self.wide) / 2.0), round((image.height - self.tall) / 2.0)
        return image.crop((left, top, left + self.wide, top + self.tall))


def framing_of(settings: Mapping[str, Any], decoder: Decoder = "pillow") -> Framing:
    """Read the settings of open_clip's evaluation transform (`PreprocessCfg`).

    Args:
        settings: `size`, `resize_mode`, `interpolation`, `fill_color`.
        decoder: What decodes a JPEG.
    """
    size, fill = settings["size"], settings.get("fill_color") or 0
    tall, wide = (size, size) if isinstance(size, int) else size
    mode = settings.get("resize_mode") or "shortest"
    # open_clip takes the plain filter where the shorter side of an oblong window decides.
    fixed = mode == "shortest" and tall != wide
    resampling = "bilinear" if settings.get("interpolation") == "bilinear" and not fixed else "bicubic"
    red, green, blue = (fill,) * 3 if isinstance(fill, int) else fill
    return Framing(int(tall), int(wide), mode, resampling, (int(red), int(green), int(blue)), decoder)
