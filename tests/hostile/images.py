"""Bad and odd image files, each with the one outcome that it must have, made from nothing by this script."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from audit.data.stores import Status

__all__ = ["MOST_PIXELS", "PICTURE", "Case", "cases"]

MOST_PIXELS = 1_000_000

PICTURE = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 255], [0, 0, 0], [128, 64, 32]]], np.uint8)
"""Two rows of three colours: no two of its turns and reflections are alike."""


@dataclass(frozen=True)
class Case:
    """A file and what must become of it.

    Attributes
    ----------
    name : str
        File name.
    make : callable or bytes
        Writes the file to a path, or its content.
    status : str
    pixels : ndarray or None
        ``(H, W, 3)`` where it is read.
    tolerance : int
        Largest difference of a pixel where the format loses some.
    """

    name: str
    make: Callable[[Path], None] | bytes
    status: Status
    pixels: np.ndarray | None = None
    tolerance: int = 0

    def write(self, folder: Path) -> None:
        """Make the file."""
        path = folder / self.name
        if isinstance(self.make, bytes):
            path.write_bytes(self.make)
        else:
            self.make(path)


def cases() -> list[Case]:
    """Every case; names are unique."""
    return [*_no_images(), *_other_formats(), *_cut(), *_bombs(), *_broken(), *_no_files(), *_readable(), *_turned()]


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Bytes of a picture in a format."""
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


def _picture(mode: str = "RGB", scale: int = 1) -> Image.Image:
    image = Image.fromarray(PICTURE).convert(mode)
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2, interlaced: bool = False) -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + _chunk(b"IEND", b"")


def _no_images() -> Iterator[Case]:
    """Content that is no picture, whatever it is called."""
    texts = {
        "empty.png": b"",
        "one-byte.jpg": b"\xff",
        "text.png": b"this is no image\n" * 50,
        "page.jpg": b"<html><script>alert(1)</script></html>",
        "drawing.png": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><rect width="9" height="9"/></svg>',
        "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(a) print\n%%EOF\n",
        "document.png": b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n",
        "archive.png": b"PK\x03\x04" + b"\0" * 60,
        "program.png": b"\x7fELF" + b"\0" * 60,
        "zeros.png": b"\0" * 4096,
        "signature-alone.png": b"\x89PNG\r\n\x1a\n",
    }
    for name, content in texts.items():
        yield Case(name, content, "unsupported")


def _other_formats() -> Iterator[Case]:
    """Pictures in formats that are not on the list, under a name that is."""
    for kind in ("ICO", "TGA", "PCX", "JPEG2000", "DDS", "SGI", "XBM", "ICNS"):
        image = _picture("1" if kind == "XBM" else "RGB", scale=16)
        if kind == "ICNS":
            image = image.resize((32, 32))
        yield Case(f"{kind.lower()}-as.png", encoded(image, kind), "unsupported")


def _cut() -> Iterator[Case]:
    """Files that end too early: what is missing is never filled in."""
    noise = np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8)
    for kind, share in (
        ("PNG", 0.5),
        ("JPEG", 0.5),
        ("BMP", 0.5),
        ("GIF", 0.5),
        ("WEBP", 0.5),
        ("TIFF", 0.5),
        ("PPM", 0.5),
    ):
        content = encoded(Image.fromarray(noise), kind)
        yield Case(f"cut-{kind.lower()}", content[: int(len(content) * share)], "unreadable")
    for kind, kept in (("PNG", 12), ("WEBP", 14), ("TIFF", 6)):
        yield Case(f"cut-head-{kind.lower()}", encoded(Image.fromarray(noise), kind)[:kept], "unsupported")
    almost = encoded(Image.fromarray(noise), "JPEG")[:-400]
    yield Case("cut-last-rows.jpg", almost, "unreadable")


def _bombs() -> Iterator[Case]:
    """Small files that claim to be large."""
    rows = zlib.compress(b"\0" * (12000 * 3 + 1) * 10, 9)
    yield Case("bomb.png", _png(12000, 12000, _chunk(b"IDAT", rows)), "too_large")
    yield Case("bomb-huge.png", _png(2**31 - 1, 2**31 - 1, _chunk(b"IDAT", rows)), "too_large")
    yield Case("just-too-large.png", encoded(Image.new("1", (1001, 1000)), "PNG"), "too_large")
    fits = np.zeros((1000, 1000, 3), np.uint8)
    yield Case("just-fits.png", encoded(Image.fromarray(fits), "PNG"), "ok", fits)
    jpeg = bytearray(encoded(_picture(), "JPEG"))
    place = jpeg.index(b"\xff\xc0") + 5
    jpeg[place : place + 4] = struct.pack(">HH", 65500, 65500)
    yield Case("bomb.jpg", bytes(jpeg), "too_large")
    gif = bytearray(encoded(_picture("P"), "GIF"))
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    yield Case("bomb.gif", bytes(gif), "too_large")
    bmp = bytearray(encoded(_picture(), "BMP"))
    bmp[18:26] = struct.pack("<ii", 60000, 60000)
    yield Case("bomb.bmp", bytes(bmp), "too_large")
    yield Case("bomb.ppm", b"P6 60000 60000 255\n" + b"\0" * 30, "too_large")
    text = zlib.compress(b"a" * 200_000_000, 9)
    yield Case("bomb-in-text.png", _png(3, 2, _chunk(b"zTXt", b"Comment\0\0" + text)), "unreadable")


def _broken() -> Iterator[Case]:
    """Files whose parts contradict one another."""
    good = bytearray(encoded(_picture(scale=20), "PNG"))
    flipped = bytearray(good)
    flipped[good.index(b"IDAT") + 9] ^= 0x55
    yield Case("flipped-in-pixels.png", bytes(flipped), "unreadable")
    yield Case("no-pixels.png", _png(3, 2), "unreadable")
    yield Case("no-area.png", _png(0, 0, _chunk(b"IDAT", zlib.compress(b"\0"))), "unsupported")
    yield Case("few-rows.png", _png(3, 200, _chunk(b"IDAT", zlib.compress(b"\0" * 40))), "unreadable")
    yield Case("all-rows-but-one.png", _png(3, 5, _chunk(b"IDAT", zlib.compress(b"\0" * 40))), "unreadable")
    passes = _png(8, 8, _chunk(b"IDAT", zlib.compress(b"\0" * 100)), interlaced=True)
    yield Case("few-passes.png", passes, "unreadable")
    for value in (171, 84):
        even = np.full((9, 7, 3), value, np.uint8)
        yield Case(f"even-{value}.png", encoded(Image.fromarray(even[..., 0]), "PNG"), "ok", even)
        yield Case(f"even-{value}.bmp", encoded(Image.fromarray(even), "BMP"), "ok", even)
    yield Case("rows-that-are-no-rows.png", _png(3, 2, _chunk(b"IDAT", b"not compressed")), "unreadable")
    yield Case("depth-that-is-none.png", _png(3, 2, _chunk(b"IDAT", zlib.compress(b"\0" * 20)), depth=7), "unsupported")
    yield Case("ppm-of-words.ppm", b"P3 three two 255\n" + b"0 " * 18, "unreadable")
    yield Case("ppm-beyond-its-largest.ppm", b"P3 1 1 255\n999 0 0\n", "unreadable")
    yield Case("floats.tif", encoded(Image.fromarray(PICTURE[..., 0].astype(np.float32)), "TIFF"), "unsupported")
    wide = Image.fromarray(PICTURE[..., 0].astype(np.int32) * 2**20)
    yield Case("numbers-of-32-bits.tif", encoded(wide, "TIFF"), "unsupported")
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[320] = tuple([0] * 300)
    strip = bytearray(encoded(_picture(), "TIFF"))
    ifd = struct.unpack("<I", strip[4:8])[0]
    loop = bytearray(strip)
    count = struct.unpack("<H", strip[ifd : ifd + 2])[0]
    for entry in range(count):
        place = ifd + 2 + 12 * entry
        if struct.unpack("<H", strip[place : place + 2])[0] == 273:  # where the pixels are: beyond the end
            loop[place + 8 : place + 12] = struct.pack("<I", 2**31)
    yield Case("pixels-elsewhere.tif", bytes(loop), "unreadable")


def _no_files() -> Iterator[Case]:
    """Names behind which there is no plain file, or one outside."""
    yield Case("folder.png", lambda path: path.mkdir(), "missing")
    yield Case("pipe.png", os.mkfifo, "missing")
    yield Case("nothing.png", lambda _: None, "missing")
    yield Case("dangling.png", lambda path: path.symlink_to(path.parent / "not-there"), "missing")
    yield Case("loop.png", lambda path: path.symlink_to(path), "missing")
    yield Case("device.png", lambda path: path.symlink_to("/dev/zero"), "outside_root")
    yield Case("password.png", lambda path: path.symlink_to("/etc/passwd"), "outside_root")
    yield Case("parent.png", lambda path: path.symlink_to(path.parent.parent), "outside_root")


def _readable() -> Iterator[Case]:
    """Odd, but pictures: each becomes what a person sees."""
    for kind, lossy in (("PNG", 0), ("BMP", 0), ("PPM", 0), ("TIFF", 0)):
        yield Case(f"plain-{kind.lower()}", encoded(_picture(), kind), "ok", PICTURE, lossy)
    yield Case("lossless.webp", encoded(_picture(), "WEBP", lossless=True), "ok", PICTURE)
    yield Case("palette.gif", encoded(_picture(), "GIF"), "ok", PICTURE)
    yield Case("palette.png", encoded(_picture().quantize(6, dither=Image.Dither.NONE), "PNG"), "ok", PICTURE)
    large = np.kron(PICTURE, np.ones((24, 24, 1), np.uint8))
    soft = encoded(Image.fromarray(large), "JPEG", quality=100, subsampling=0)
    yield Case("plain.jpg", soft, "ok", large, 40)
    whole = encoded(Image.fromarray(large), "JPEG", quality=100, subsampling=0, progressive=True)
    yield Case("progressive.jpg", whole, "ok", large, 40)
    inks = encoded(Image.fromarray(large).convert("CMYK"), "JPEG", quality=100)
    yield Case("inks.jpg", inks, "ok", large, 60)
    grey = np.asarray(_picture("L"))
    yield Case("grey.png", encoded(_picture("L"), "PNG"), "ok", np.repeat(grey[..., None], 3, 2))
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    yield Case("deep.png", encoded(deep, "PNG"), "ok", np.repeat(grey[..., None], 3, 2))
    yield Case("deep.tif", encoded(deep, "TIFF"), "ok", np.repeat(grey[..., None], 3, 2))
    bits = np.asarray(_picture("1")).astype(np.uint8) * 255
    yield Case("bits.png", encoded(_picture("1"), "PNG"), "ok", np.repeat(bits[..., None], 3, 2))
    clear = np.dstack([PICTURE, np.array([[255, 0, 255], [255, 255, 0]], np.uint8)])
    seen = np.where(clear[..., 3:] > 0, PICTURE, 255).astype(np.uint8)
    yield Case("clear.png", encoded(Image.fromarray(clear), "PNG"), "ok", seen)
    frames = [Image.fromarray(255 - PICTURE)]
    yield Case("moving.gif", encoded(_picture(), "GIF", save_all=True, append_images=frames), "ok", PICTURE)
    yield Case("moving.png", encoded(_picture(), "PNG", save_all=True, append_images=frames), "ok", PICTURE)
    several = encoded(_picture(), "WEBP", save_all=True, append_images=frames, lossless=True)
    yield Case("moving.webp", several, "ok", PICTURE)
    yield Case("pages.tif", encoded(_picture(), "TIFF", save_all=True, append_images=frames), "ok", PICTURE)
    yield Case("with-an-archive-behind.png", encoded(_picture(), "PNG") + b"PK\x03\x04" + b"\0" * 99, "ok", PICTURE)
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Author", "<script>alert(1)</script>")
    yield Case("with-notes.png", encoded(_picture(), "PNG", pnginfo=notes), "ok", PICTURE)
    yield Case("no-suffix", encoded(_picture(), "PNG"), "ok", PICTURE)
    yield Case("bmp-as.jpg", encoded(_picture(), "BMP"), "ok", PICTURE)
    yield Case("a name\nof two lines.png", encoded(_picture(), "PNG"), "ok", PICTURE)
    row = np.zeros((1, 5000, 3), np.uint8)
    yield Case("thin.png", encoded(Image.fromarray(row), "PNG"), "ok", row)


def _turned() -> Iterator[Case]:
    """A camera held otherwise: the picture is turned upright."""
    upright: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }
    for value, turn in upright.items():
        exif = Image.Exif()
        exif[0x0112] = value
        yield Case(f"turned-{value}.png", encoded(_picture(), "PNG", exif=exif), "ok", turn(PICTURE))
    exif = Image.Exif()
    exif[0x0112] = 77
    yield Case("turned-nowhere.png", encoded(_picture(), "PNG", exif=exif), "ok", PICTURE)
