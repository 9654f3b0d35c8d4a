import io

import numpy as np
import pytest
from PIL import Image

from nas_peft.data.decoding import UnreadableImage, read_image, to_rgb
from search_spaces.errors import InputError


def pixel(image: Image.Image, x: int = 0, y: int = 0) -> tuple[int, ...]:
    assert image.mode == "RGB"
    return image.getpixel((x, y))


def test_rgb_stays_as_it_is(tmp_path, write_image):
    path = write_image(tmp_path / "a.png", (1, 2, 3), (7, 4))
    image = read_image(path, "a")
    assert image.size == (7, 4)
    assert pixel(image) == (1, 2, 3)


def test_an_open_file_is_read_like_a_path(tmp_path, write_image):
    encoded = io.BytesIO(write_image(tmp_path / "a.png", (1, 2, 3)).read_bytes())
    assert pixel(read_image(encoded, "a")) == (1, 2, 3)


@pytest.mark.parametrize("alpha", [0, 255])
def test_transparency_lies_on_white(tmp_path, alpha):
    Image.new("RGBA", (2, 2), (200, 0, 0, alpha)).save(tmp_path / "a.png")
    assert pixel(read_image(tmp_path / "a.png", "a")) == ((255, 255, 255) if alpha == 0 else (200, 0, 0))


def test_a_palette_with_a_transparent_colour_lies_on_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([200, 0, 0, 0, 200, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=0)
    read = read_image(tmp_path / "a.png", "a")
    assert [pixel(read, 0), pixel(read, 1)] == [(255, 255, 255), (0, 200, 0)]


def test_transparency_of_tall_images_is_seamless():
    """Rows are put on white in strips, as all at once."""
    alpha = Image.linear_gradient("L").resize((40, 700))
    image = Image.merge("RGBA", [Image.radial_gradient("L").resize((40, 700))] * 3 + [alpha])
    whole = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    assert to_rgb(image, "a").tobytes() == whole.tobytes()


def test_an_image_in_rgb_is_not_copied():
    image = Image.new("RGB", (3, 2))
    assert to_rgb(image, "a") is image


@pytest.mark.parametrize("size", [(1, 101), (10_001, 100)])
def test_an_image_that_is_nearly_a_line_is_refused(tmp_path, size):
    """Resized to a short side of 224 pixels, a line of a million would have 150 GB."""
    Image.new("RGB", size).save(tmp_path / "a.png")
    with pytest.raises(UnreadableImage, match=r"one side is over 100 times the other"):
        read_image(tmp_path / "a.png", "a")


def test_a_long_panorama_is_read(tmp_path):
    Image.new("RGB", (100, 1)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", "a").size == (100, 1)


def test_a_palette_without_transparency_keeps_its_colours(tmp_path):
    image = Image.new("P", (1, 1))
    image.putpalette([200, 10, 20])
    image.save(tmp_path / "a.gif")
    assert pixel(read_image(tmp_path / "a.gif", "a")) == (200, 10, 20)


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    red, green, blue = pixel(read_image(tmp_path / "a.jpg", "a"))
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_of_grey_are_scaled_to_eight(tmp_path, suffix):
    values = np.array([[255, 256, 25700, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    read = read_image(tmp_path / f"a.{suffix}", "a")
    assert [pixel(read, x)[0] for x in range(4)] == [0, 1, 100, 255]


def test_exif_rotation_is_applied(tmp_path):
    image = Image.new("RGB", (16, 8), "black")
    image.paste("white", (0, 0, 8, 8))
    exif = image.getexif()
    exif[0x0112] = 6  # the camera was held so that the left of the file is the top of the scene
    image.save(tmp_path / "a.jpg", exif=exif, quality=100)
    upright = read_image(tmp_path / "a.jpg", "a")
    assert upright.size == (8, 16)
    assert pixel(upright, 4, 2)[0] > 240
    assert pixel(upright, 4, 14)[0] < 15


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (3, 3), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert pixel(read_image(tmp_path / "a.gif", "a")) == (255, 0, 0)


def damaged(tmp_path, write_image, kind: str):
    path = tmp_path / "bad.jpg"
    if kind == "text":
        path.write_text("no image")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        whole = write_image(path, size=(64, 64)).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    else:
        path.symlink_to(tmp_path / "gone.jpg")
    return path


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "link to nothing"])
def test_a_damaged_file_is_named_with_reason_and_remedy(tmp_path, write_image, kind):
    path = damaged(tmp_path, write_image, kind)
    with pytest.raises(UnreadableImage) as caught:
        read_image(path, str(path))
    message = str(caught.value)
    assert message.startswith(f"image '{path}' cannot be decoded: ")
    assert message.endswith("leave such images out with --skip-bad-images")
    assert "\n" not in message
    assert isinstance(caught.value, InputError)
    assert caught.value.name == str(path)


def test_what_is_no_image_is_called_so(tmp_path, write_image):
    with pytest.raises(UnreadableImage, match="it is not an image file"):
        read_image(damaged(tmp_path, write_image, "text"), "bad.jpg")


@pytest.mark.parametrize("fraction", [0.6, 0.3])
def test_an_oversized_image_is_an_error_of_this_image(tmp_path, write_image, monkeypatch, fraction):
    # PIL warns above its limit and raises above twice the limit; both must end as the same error.
    path = write_image(tmp_path / "big.png", size=(20, 20))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(400 * fraction))
    with pytest.raises(UnreadableImage, match="decompression bomb"):
        read_image(path, "big.png")


def test_numbers_without_a_known_range_are_refused(tmp_path):
    Image.fromarray(np.ones((2, 2), dtype=np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(UnreadableImage, match="floating-point"):
        read_image(tmp_path / "a.tif", "a.tif")
    with pytest.raises(UnreadableImage, match="reach from 70000 to 70000"):
        to_rgb(Image.fromarray(np.full((2, 2), 70000, dtype=np.int32)), "b")


def test_a_colour_space_without_conversion_is_refused():
    with pytest.raises(UnreadableImage, match="colour space La: conversion"):
        to_rgb(Image.new("La", (2, 2)), "a")
