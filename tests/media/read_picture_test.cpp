#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "array_file.hpp"
#include "child_process.hpp"
#include "picture_file.hpp"
#include "temporary_folder.hpp"

namespace onestep {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string text(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// What is said of a file "a" of these bytes.
std::string refusal(const std::string& content) {
  const std::string error = error_of([&] { decode_picture(bytes(content), "a"); });
  return error.starts_with("file: a: ") ? error.substr(9) : error;
}

std::string big_endian(std::uint32_t number) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(number >> shift & 255);
  return text;
}

std::string little_endian(std::uint32_t number, int size = 4) {
  std::string text;
  for (int i = 0; i < size; ++i) text += static_cast<char>(number >> 8 * i & 255);
  return text;
}

std::string chunk(const std::string& kind, const std::string& data) {
  const std::string both = kind + data;
  const auto sum = crc32(0, reinterpret_cast<const unsigned char*>(both.data()), static_cast<unsigned>(both.size()));
  return big_endian(static_cast<std::uint32_t>(data.size())) + both + big_endian(static_cast<std::uint32_t>(sum));
}

std::string deflated(const std::string& data) {
  std::string packed(compressBound(data.size()), '\0');
  uLongf size = packed.size();
  compress(reinterpret_cast<unsigned char*>(packed.data()), &size, reinterpret_cast<const unsigned char*>(data.data()),
           data.size());
  return packed.substr(0, size);
}

const std::string signature("\x89PNG\r\n\x1a\n");

std::string header(std::uint32_t width, std::uint32_t height, char depth = 8, char type = 0) {
  return signature + chunk("IHDR", big_endian(width) + big_endian(height) + depth + type + std::string(3, '\0'));
}

/// Grey, of rows of a filter's number and pixels.
std::string png(std::uint32_t width, std::uint32_t height, const std::string& rows) {
  return header(width, height) + chunk("IDAT", deflated(rows)) + chunk("IEND", "");
}

Picture colours(int width, int height) {
  Picture picture = blank_picture(width, height, 3);
  for (std::size_t i = 0; i < picture.pixels.size(); ++i) picture.pixels[i] = static_cast<std::uint8_t>(i * 37 % 251);
  return picture;
}

TEST(ReadPicture, SeesWhatPillowSees) {
  const TemporaryFolder folder;
  const std::string command = ONESTEP_TEST_PYTHON " " ONESTEP_TEST_SOURCE "/make_pictures.py " + folder.path();
  ASSERT_EQ(std::system(command.c_str()), 0);
  int count = 0;
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    const std::string file = entry.path().string(), kind = entry.path().extension().string();
    if (kind == ".npy") continue;
    ++count;
    const FloatArray expected = read_npy(file + ".npy");
    const PictureValues picture = read_picture(file);
    ASSERT_EQ(picture.height, expected.shape.at(0)) << file;
    ASSERT_EQ(picture.width, expected.shape.at(1)) << file;
    const auto components = static_cast<std::size_t>(expected.shape.at(2));
    ASSERT_EQ(picture.opacity.size(), components % 2 == 0 ? expected.values.size() / components : 0) << file;
    // JPEG: two decoders that round each of the transforms and the change of colours, Pillow's CMYK to whole numbers
    // twice. BMP: fewer than 8 bits are rounded to 16. PNG: float32.
    const float allowed = kind == ".jpg" ? 3.0F / 255 : kind == ".bmp" ? 0.51F / 65535 : 1e-6F;
    float worst = 0;
    for (std::size_t i = 0; i < expected.values.size(); ++i) {
      const std::size_t pixel = i / components, c = i % components;
      const bool opacity = components % 2 == 0 && c == components - 1;
      // Grey in three channels is as good as grey.
      const float found =
          opacity ? picture.opacity[pixel]
                  : picture.values[pixel * picture.channels + std::min<std::size_t>(c, picture.channels - 1)];
      worst = std::max(worst, std::abs(found - expected.values[i]));
    }
    EXPECT_LE(worst, allowed) << file;
  }
  EXPECT_EQ(count, 67);
}

TEST(ReadPicture, TurnsAsBuggyProgramsSay) {
  // eXIf with the header that belongs into a JPEG; and nothing that could be read.
  const std::string exif = std::string("MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\x06\0\0\0\0\0\0", 26);
  const std::string rows("\0\1\2", 3), end = chunk("IEND", "");
  const auto read = [&](const std::string& data) {
    return decode_picture(bytes(header(2, 1) + chunk("eXIf", data) + chunk("IDAT", deflated(rows)) + end), "a");
  };
  EXPECT_EQ(read(exif).height, 2);
  EXPECT_EQ(read(std::string("Exif\0\0", 6) + exif).height, 2);
  EXPECT_EQ(read("nonsense").height, 1);
  EXPECT_EQ(read("").height, 1);
  // After the pixels, too.
  EXPECT_EQ(decode_picture(bytes(header(2, 1) + chunk("IDAT", deflated(rows)) + chunk("eXIf", exif) + end), "a").height,
            2);
}

TEST(ReadPicture, RefusesEveryDamagedByteOfAPng) {
  const std::string whole = png(3, 2, std::string("\0\1\2\3\0\4\5\6", 8));
  EXPECT_EQ(refusal(whole), "nothing thrown");
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_NE(refusal(damaged), "nothing thrown") << i;
  }
  for (std::size_t length = 1; length < whole.size(); ++length) {
    EXPECT_NE(refusal(whole.substr(0, length)), "nothing thrown") << length;
  }
  std::string sum = whole;
  sum[sum.size() - 14] ^= 1;
  EXPECT_EQ(refusal(sum), "is damaged (IDAT: CRC error); copy or make it again");
  std::string adler = deflated(std::string("\0\7", 2));
  adler.back() ^= 1;
  EXPECT_EQ(refusal(header(1, 1) + chunk("IDAT", adler) + chunk("IEND", "")).substr(0, 12), "is damaged (");
}

TEST(ReadPicture, RefusesDamagedJpegs) {
  const std::string whole = text(encode_jpeg(colours(64, 48)));
  EXPECT_EQ(refusal(whole), "nothing thrown");
  EXPECT_EQ(refusal(whole.substr(0, whole.size() - 2)), "is cut short: the picture needs more than its " +
                                                            std::to_string(whole.size() - 2) +
                                                            " bytes; copy or make it again");
  // A marker in the middle of the data: the decoder would warn, and go on in grey.
  std::string marker = whole;
  marker.replace(whole.size() - 300, 2, "\xff\xd9");
  EXPECT_EQ(refusal(marker).substr(0, 12), "is damaged (");

  // Tables of more codes than a byte has values, in each of the two classes of each of the four tables.
  for (const char table : {0, 1, 2, 3, 16, 17, 18, 19}) {
    std::string counts(16, '\0');
    counts[9] = counts[10] = static_cast<char>(255);
    const std::string codes = std::string(1, table) + counts + std::string(510, '\1');
    const std::string length{static_cast<char>((codes.size() + 2) / 256), static_cast<char>((codes.size() + 2) % 256)};
    EXPECT_EQ(refusal(whole.substr(0, 2) + "\xff\xc4" + length + codes + whole.substr(2)),
              "is damaged (Bogus Huffman table definition); copy or make it again");
  }
}

TEST(ReadPicture, RefusesAProgressiveJpegOfManyScans) {
  const auto segment = [](char marker, const std::string& data) {
    return std::string("\xff") + marker + static_cast<char>((data.size() + 2) / 256) +
           static_cast<char>((data.size() + 2) % 256) + data;
  };
  // One code, of one bit, for "no difference"; each scan says so of the one block of the picture.
  const std::string start = std::string("\xff\xd8") + segment('\xdb', std::string(1, '\0') + std::string(64, '\1')) +
                            segment('\xc2', std::string("\x08\0\x08\0\x08\1\1\x11\0", 9)) +
                            segment('\xc4', std::string(1, '\0') + '\1' + std::string(15, '\0') + '\0') +
                            segment('\xc4', std::string(1, '\x10') + '\1' + std::string(15, '\0') + '\0');
  const std::string first = segment('\xda', std::string("\1\1\0\0\0\0", 6)) + '\x7f';
  const std::string scans = segment('\xda', std::string("\1\1\0\1\x3f\0", 6)) + '\x7f';
  EXPECT_EQ(refusal(start + first + scans + "\xff\xd9"), "nothing thrown");
  std::string many;
  for (int i = 1; i < 64; ++i) {
    for (int repeat = 0; repeat < 2; ++repeat) {
      // Of one coefficient: all its bits but one, then that one.
      const std::string low(1, static_cast<char>(repeat == 0 ? 0x01 : 0x10));
      many += segment('\xda', std::string("\1\1\0", 3) + static_cast<char>(i) + static_cast<char>(i) + low) + '\x7f';
    }
  }
  EXPECT_EQ(refusal(start + first + many + "\xff\xd9"), "is damaged (more than 100 scans); copy or make it again");
}

TEST(ReadPicture, SaysWhatIsWrong) {
  for (const std::string& whole : {text(encode_png(colours(64, 64))), text(encode_jpeg(colours(64, 64)))}) {
    EXPECT_EQ(refusal(whole), "nothing thrown");
    for (const std::size_t length : {whole.size() / 2, whole.size() - 200}) {
      EXPECT_EQ(refusal(whole.substr(0, length)), "is cut short: the picture needs more than its " +
                                                      std::to_string(length) + " bytes; copy or make it again");
    }
  }
  EXPECT_EQ(refusal("GIF89a and what follows"), "is no PNG, JPEG or BMP picture; convert it");
  EXPECT_EQ(refusal("x"), "is no PNG, JPEG or BMP picture; convert it");
  const TemporaryFolder folder;
  put_bytes(folder / "empty", "");
  EXPECT_EQ(error_of([&] { read_picture(folder / "empty"); }),
            "file: " + (folder / "empty") + ": is empty; copy or make it again");
  EXPECT_EQ(error_of([&] { read_picture(folder.path()); }),
            "file: " + folder.path() + ": is a folder; give a file in it");
  EXPECT_EQ(error_of([&] { read_picture(folder / "c"); }), "file: " + (folder / "c") + ": no such file");
}

std::string bmp(std::int32_t width, std::int32_t height, int bits, int compression = 0, int colours = 0) {
  return "BM" + little_endian(0) + little_endian(0) + little_endian(54 + 4 * colours) + little_endian(40) +
         little_endian(width) + little_endian(height) + little_endian(1, 2) + little_endian(bits, 2) +
         little_endian(compression) + std::string(12, '\0') + little_endian(colours) + std::string(4, '\0');
}

TEST(ReadPicture, RefusesBrokenBmps) {
  const std::string pixels(16, '\x7f'), short_of = "is cut short: the picture needs more than its ";
  EXPECT_EQ(refusal(bmp(2, 2, 24) + pixels), "nothing thrown");
  EXPECT_EQ(refusal(bmp(2, 2, 24) + pixels.substr(1)), short_of + "69 bytes; copy or make it again");
  EXPECT_EQ(refusal(bmp(2, 2, 24).substr(0, 40)), short_of + "40 bytes; copy or make it again");
  EXPECT_EQ(refusal(bmp(2, -2147483648, 24) + pixels).substr(0, 40), "has 2 x 2147483648 pixels, but at most 6");
  EXPECT_EQ(refusal(bmp(30000, 30000, 24)), "has 30000 x 30000 pixels, but at most 67108864 are read; make it smaller");
  EXPECT_EQ(refusal(bmp(0, 2, 24) + pixels), "is damaged (it has no pixels); copy or make it again");
  EXPECT_EQ(refusal(bmp(-2, 2, 24) + pixels), "is damaged (it has no pixels); copy or make it again");
  EXPECT_EQ(refusal(bmp(2, 2, 7) + pixels), "is damaged (7 bits a pixel); copy or make it again");
  EXPECT_EQ(refusal(bmp(2, 2, 0) + pixels), "is damaged (0 bits a pixel); copy or make it again");
  EXPECT_EQ(refusal(bmp(2, 2, 8, 1) + pixels), "is a compressed BMP (kind 1), which is not read; save it as PNG");
  EXPECT_EQ(refusal(bmp(2, 2, 16, 3) + std::string(24, '\0')),
            "is damaged (a colour has no bits); copy or make it again");
  // Colours that the palette lacks.
  const std::string two_colours(8, '\5');
  EXPECT_EQ(refusal(bmp(2, 2, 8, 0, 2) + two_colours + std::string("\1\0\0\0\0\1\0\0", 8)), "nothing thrown");
  EXPECT_EQ(refusal(bmp(2, 2, 8, 0, 2) + two_colours + std::string("\1\2\0\0\0\1\0\0", 8)),
            "is damaged (colour 2 of 2); copy or make it again");
}

TEST(ReadPicture, TakesNoMoreMemoryThanAPictureMay) {
  constexpr std::int64_t megabyte = 1 << 20;
  // The largest of sizes, in a header with nothing behind it.
  for (const std::string& alone : {bmp(8192, 8192, 24), bmp(8192, 8192, 1), header(8192, 8192, 16, 6)}) {
    EXPECT_LT(memory_use([&] { EXPECT_EQ(refusal(alone).substr(0, 12), "is cut short"); }), 4 * megabyte);
  }
  // Few pixels, and 64 MiB that unpack where none belong: behind them, in a text, in a profile.
  std::string packed;
  {
    const std::string zeros(64 << 20, '\0');
    packed = deflated(zeros);
  }
  const std::string few = chunk("IDAT", deflated(std::string("\0\1", 2))), end = chunk("IEND", "");
  EXPECT_LT(memory_use([&] { EXPECT_NE(refusal(header(1, 1) + chunk("IDAT", packed) + end), "nothing thrown"); }),
            4 * megabyte);
  for (const char* kind : {"zTXt", "iCCP"}) {
    const std::string file = header(1, 1) + chunk(kind, std::string("k\0\0", 3) + packed) + few + end;
    EXPECT_LT(memory_use([&] { EXPECT_EQ(refusal(file), "nothing thrown"); }), 4 * megabyte) << kind;
  }
}

TEST(ToSample, GivesAModelTheChannelsThatItHas) {
  const PictureValues grey{2, 1, 1, {0.25F, 1}, {}}, same{1, 1, 3, {0.5F, 0.5F, 0.5F}, {}},
      colour{1, 1, 3, {0, 0.5F, 1}, {}}, glass{2, 1, 3, {0.25F, 0.5F, 0, 0, 0, 0}, {0.5F, 0}};
  using Values = std::vector<float>;
  EXPECT_EQ(to_sample(grey, 1, -1, 1, "a"), (Values{-0.5F, 1}));
  EXPECT_EQ(to_sample(grey, 3, 0, 4, "a"), (Values{1, 4, 1, 4, 1, 4}));
  EXPECT_EQ(to_sample(same, 1, 0, 1, "a"), (Values{0.5F}));
  EXPECT_EQ(to_sample(colour, 3, 0, 1, "a"), (Values{0, 0.5F, 1}));
  EXPECT_EQ(to_sample(glass, 3, 0, 1, "a"), (Values{0.25F, 0, 0.5F, 0, 0, 0}));  // on black
  EXPECT_EQ(to_sample(glass, 4, 0, 1, "a"), (Values{0.5F, 0, 1, 0, 0, 0, 0.5F, 0}));
  const auto refused = [](const PictureValues& picture, int channels) {
    return error_of([&] { to_sample(picture, channels, 0, 1, "a"); });
  };
  EXPECT_EQ(refused(colour, 1), "file: a: is in colour, but must be grey; make it grey first");
  EXPECT_EQ(refused(colour, 4),
            "file: a: has no opacity, but must have 4 channels: red, green, blue, opacity; save it as "
            "RGBA");
  EXPECT_EQ(refused(grey, 5), "file: a: is a picture, which has 1, 3 or 4 channels, but the model's samples have 5");
}

}  // namespace
}  // namespace onestep
