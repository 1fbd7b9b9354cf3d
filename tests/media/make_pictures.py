"""Pictures of every kind, for read_picture_test.cpp: make_pictures.py FOLDER writes them, and beside each NAME a NAME.npy
[H, W, channels + opacity] of what is seen of it: as Pillow reads it, or as it was made."""

import pathlib
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageOps

folder = pathlib.Path(sys.argv[1])
numbers = np.random.default_rng(3)


def expect(name, values):
    """Values and opacity in [0, 1]; on black."""
    values = np.asarray(values, np.float64)
    if values.ndim == 2:
        values = values[..., None]
    if values.shape[2] in (2, 4):
        values[..., :-1] *= values[..., -1:]
    np.save(folder / f"{name}.npy", np.ascontiguousarray(values, "<f4"))


def save(name, picture, mode, **options):
    picture.save(folder / name, **options)
    with Image.open(folder / name) as back:
        expect(name, np.asarray(ImageOps.exif_transpose(back).convert(mode)) / 255)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(name, values, depth, colour_type, interlaced=False, extra=b""):
    """values [H, W, C]; extra: chunks between header and pixels."""
    packed = b""
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    for x, y, dx, dy in passes if interlaced else [(0, 0, 1, 1)]:
        part = values[y::dy, x::dx]
        if part.size == 0:
            continue
        bits = (part.reshape(len(part), -1, 1) >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(len(part), -1).astype(np.uint8), axis=1)
        packed += b"".join(b"\0" + row.tobytes() for row in rows)
    height, width = values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    (folder / name).write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra +
                                chunk(b"IDAT", zlib.compress(packed)) + chunk(b"IEND", b""))


# Grey and colour of every depth, in rows and interlaced; odd sizes, so that passes are empty and bytes half used.
for depth in (1, 2, 4, 8, 16):
    for interlaced in (False, True):
        grey = numbers.integers(0, 2**depth, (5, 7, 1))
        name = f"grey{depth}{'i' if interlaced else ''}.png"
        png(name, grey, depth, 0, interlaced)
        expect(name, grey / (2**depth - 1))
        if depth < 8:
            colours = numbers.integers(0, 256, (2**depth, 3))
            name = f"palette{depth}{'i' if interlaced else ''}.png"
            png(name, grey, depth, 3, interlaced, chunk(b"PLTE", colours.astype(np.uint8).tobytes()))
            expect(name, colours[grey[..., 0]] / 255)
        else:
            for kind, channels in (("glass", 2), ("rgb", 3), ("rgba", 4)):
                colour = numbers.integers(0, 2**depth, (5, 7, channels))
                name = f"{kind}{depth}{'i' if interlaced else ''}.png"
                png(name, colour, depth, {2: 4, 3: 2, 4: 6}[channels], interlaced)
                expect(name, colour / (2**depth - 1))
png("tiny.png", np.full((1, 1, 1), 3), 8, 0, True)
expect("tiny.png", [[3 / 255]])
# A palette whose second colour is half transparent, and a grey that is transparent.
png("clear_palette.png", np.array([[[0], [1]]]), 8, 3, False, chunk(b"PLTE", bytes([9, 99, 199, 40, 50, 60])) + chunk(b"tRNS", b"\xff\x80"))
expect("clear_palette.png", np.array([[[9, 99, 199, 255], [40, 50, 60, 128]]]) / 255)
png("clear_grey.png", np.array([[[7], [8]]]), 8, 0, False, chunk(b"tRNS", b"\0\x08"))
expect("clear_grey.png", np.array([[[7, 255], [8, 0]]]) / 255)
# What lies beside the pixels is not looked at: a colour profile that is none, a long text, an unknown chunk.
png("beside.png", np.full((2, 2, 1), 70), 8, 0, False,
    chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile")) + chunk(b"zTXt", b"k\0\0" + zlib.compress(b"t" * 99999)) +
    chunk(b"prVt", b"?"))
expect("beside.png", np.full((2, 2), 70 / 255))

# Two gradients, so that every turn shows; smooth, since two JPEG decoders round their own ways.
x, y = np.meshgrid(np.linspace(0, 200, 40), np.linspace(0, 55, 24))
slope = (x + y).round().astype(np.uint8)
grey, colour = Image.fromarray(slope), Image.fromarray(np.stack([slope, slope // 2, 255 - slope], 2))
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[274] = orientation
    save(f"turned{orientation}.jpg", grey, "L", exif=exif, quality=95)
    save(f"turned{orientation}.png", colour, "RGB", exif=exif)
    opacity = colour.copy()
    opacity.putalpha(grey)
    save(f"glass{orientation}.png", opacity, "RGBA", exif=exif)
for name, options in (("plain", {}), ("progressive", {"progressive": True}), ("halved", {"subsampling": 2}),
                      ("restarts", {"restart_marker_rows": 1})):
    save(f"{name}.jpg", colour, "RGB", quality=95, **options)
save("cmyk.jpg", colour.convert("CMYK"), "RGB", quality=95)

save("grey.bmp", grey, "L")
save("bits.bmp", grey.point(lambda v: 255 * (v > 99)).convert("1"), "L")
save("palette.bmp", colour.quantize(7), "RGB")
save("rgb.bmp", colour, "RGB")
save("rgbx.bmp", opacity, "RGB")
# 16 bits, and 32 bits with masks and opacity, which Pillow does not write.
five = numbers.integers(0, 32, (3, 3, 3))
words = (five[..., 0] << 10 | five[..., 1] << 5 | five[..., 2]).astype("<u2")
rows = np.pad(words, ((0, 0), (0, 1)))
header = struct.pack("<IiiHHIIiiII", 40, 3, -3, 1, 16, 0, 0, 0, 0, 0, 0)
(folder / "five_bits.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 0, 0, 0, 54) + header + rows.tobytes())
expect("five_bits.bmp", five / 31)
four = numbers.integers(0, 256, (2, 3, 4))
header = struct.pack("<IiiHHIIiiII", 108, 3, 2, 1, 32, 3, 0, 0, 0, 0, 0) + bytes.fromhex("ff000000 00ff0000 0000ff00 000000ff")
(folder / "masks.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 0, 0, 0, 122) + header + bytes(52) +
                                   four[::-1].astype(np.uint8).tobytes())
expect("masks.bmp", four / 255)
