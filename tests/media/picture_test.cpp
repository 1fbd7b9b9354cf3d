#include "picture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "comparison_sheet.hpp"
#include "picture_file.hpp"
#include "temporary_folder.hpp"

namespace onestep {
namespace {

using Bytes = std::vector<std::uint8_t>;
using Shape = std::vector<std::int64_t>;

/// Every pixel another one: shifts, swaps and transposes show.
Picture pattern(int width, int height, int channels) {
  Picture picture = blank_picture(width, height, channels);
  for (std::size_t i = 0; i < picture.pixels.size(); ++i) picture.pixels[i] = static_cast<std::uint8_t>(i * 37 % 251);
  return picture;
}

TEST(ToPicture, ClampsAndRoundsToTheNearestByte) {
  const std::vector<float> values{-1, 1, 0, -7, 7, 0.0039F};
  const Picture picture = to_picture(values, Shape{1, 2, 3}, -1, 1);
  EXPECT_EQ(picture.width, 3);
  EXPECT_EQ(picture.height, 2);
  // 255 * (0 + 1) / 2 = 127.5 rounds away from zero; 0.0039 lies at 127.997.
  EXPECT_EQ(picture.pixels, (Bytes{0, 255, 128, 0, 255, 128}));
}

TEST(ToPicture, InterleavesColours) {
  const std::vector<float> values{0, 1, 2, 3, 4, 5};
  EXPECT_EQ(to_picture(values, Shape{3, 1, 2}, 0, 255).pixels, (Bytes{0, 2, 4, 1, 3, 5}));
  // Two frames of one pixel: [C, T, H, W].
  const auto frames = to_frames(values, Shape{3, 2, 1, 1}, 0, 255);
  EXPECT_EQ(frames.at(0).pixels, (Bytes{0, 2, 4}));
  EXPECT_EQ(frames.at(1).pixels, (Bytes{1, 3, 5}));
}

TEST(ToPicture, RefusesWhatNoPictureShows) {
  const std::vector<float> values(8);
  EXPECT_EQ(error_of([&] {
              to_picture(values, Shape{2, 2, 2}, -1, 1);
            }),
            "usage: shape = [2, 2, 2] has 2 channels, but a picture has 1 or 3; write such samples to .npy or .npz");
  EXPECT_EQ(error_of([&] {
              to_picture(values, Shape{1, 2, 2}, -1, 1);
            }),
            "usage: shape = [1, 2, 2] needs 4 values, but 8 were given");
  EXPECT_EQ(error_of([&] { to_picture(values, Shape{8}, -1, 1); }), "usage: shape = [8] must be [C, H, W]");
  EXPECT_EQ(error_of([&] {
              to_picture(values, Shape{1, 2, 4}, 1, -1);
            }),
            "usage: range = [1, -1] must be two finite numbers, the lower first");
  for (const float bad : {NAN, std::numeric_limits<float>::infinity()}) {
    EXPECT_EQ(error_of([&] {
                to_picture(std::vector{bad}, Shape{1, 1, 1}, -1, 1);
              }),
              "numerical: a sample holds NaN or infinity, which no picture or sound can show");
  }
}

TEST(Enlarge, RepeatsPixels) {
  const Picture picture{2, 1, 1, {1, 2}};
  EXPECT_EQ(enlarge(picture, 2).pixels, (Bytes{1, 1, 2, 2, 1, 1, 2, 2}));
  EXPECT_EQ(error_of([&] { enlarge(picture, 0); }), "usage: factor = 0 must be at least 1");
  EXPECT_EQ(error_of([&] { enlarge(picture, 1'000'000); }).substr(0, 60),
            "usage: a picture of 2000000 x 1000000 pixels can't be made: ");
}

TEST(Grid, SetsPicturesRowByRow) {
  const std::vector<Picture> tiles{{1, 1, 1, {1}}, {1, 1, 1, {2}}, {1, 1, 1, {3}}};
  EXPECT_EQ(grid(tiles, 2, 0, {9, 9, 9}).pixels, (Bytes{1, 2, 3, 9}));
  EXPECT_EQ(grid(tiles, 0, 0, {9, 9, 9}).pixels, (Bytes{1, 2, 3, 9}));
  EXPECT_EQ(grid(tiles, 8, 0).width, 3);
  EXPECT_EQ(grid({tiles[0]}, 0, 1, {9, 9, 9}).pixels, (Bytes{9, 9, 9, 9, 1, 9, 9, 9, 9}));
  EXPECT_EQ(error_of([&] { grid({}, 0, 0); }), "usage: a grid needs at least one picture");
  EXPECT_EQ(error_of([&] {
              grid({tiles[0], {2, 1, 1, {1, 2}}}, 0, 0);
            }),
            "usage: the pictures of a grid must have one size and one number of channels, not 1 x 1 and 2 x 1");
}

TEST(ComparisonSheet, PutsTilesBesideTheirLabel) {
  const Picture black = blank_picture(100, 100, 1, {0});
  const std::vector<SheetRow> rows{{{"one", "1 call"}, {black, black}}, {{"two"}, {black}}};
  const Picture sheet = comparison_sheet("A title", rows);
  // Nothing but the tiles is quite black: three of 100 x 100, neither enlarged nor covered.
  EXPECT_EQ(std::count(sheet.pixels.begin(), sheet.pixels.end(), 0), 30000);
  // Text beyond ASCII draws as '?', one a character.
  EXPECT_EQ(comparison_sheet("\xce\xb5\x7f", rows).pixels, comparison_sheet("??", rows).pixels);
  EXPECT_NE(sheet.pixels, comparison_sheet("A tittle", rows).pixels);
  EXPECT_EQ(error_of([] { comparison_sheet("", {}); }), "usage: a comparison needs at least one row with a tile");
}

TEST(Pictures, OfPngComeBackAsTheyWere) {
  const TemporaryFolder folder;
  for (const int channels : {1, 3}) {
    const Picture picture = pattern(31, 17, channels);
    write_png(folder / "a.png", picture, {{"Title", "seed 7"}, {"Comment", "\xcf\x83 = 80"}});
    const Picture back = read_picture(folder / "a.png");
    EXPECT_EQ(back.width, 31);
    EXPECT_EQ(back.height, 17);
    EXPECT_EQ(back.channels, channels);
    EXPECT_EQ(back.pixels, picture.pixels);
  }
  const std::string bytes = bytes_of(folder / "a.png");
  EXPECT_NE(bytes.find(std::string("tEXtTitle\0seed 7", 16)), bytes.npos);
  EXPECT_NE(bytes.find("iTXtComment"), bytes.npos);
  EXPECT_EQ(error_of([&] {
              write_png(folder / "b.png", pattern(1, 1, 1), {{"", "x"}});
            }),
            "usage: the PNG keyword \"\" must be 1 to 79 characters of printable ASCII");
}

TEST(Pictures, OfJpegComeBackNearly) {
  const TemporaryFolder folder;
  Picture picture = blank_picture(32, 16, 3);
  for (int i = 0; i < 32 * 16; ++i) picture.pixels[3 * i] = static_cast<std::uint8_t>(8 * (i % 32));
  write_jpeg(folder / "a.jpg", picture);
  const Picture back = read_picture(folder / "a.jpg");
  ASSERT_EQ(back.pixels.size(), picture.pixels.size());
  // Quality 95 quantizes the coefficients of a ramp in steps of a few levels.
  for (std::size_t i = 0; i < back.pixels.size(); ++i) EXPECT_NEAR(back.pixels[i], picture.pixels[i], 8);
  EXPECT_EQ(error_of([&] { write_jpeg("b.jpg", blank_picture(65536, 1, 1)); }),
            "usage: b.jpg: 65536 x 1 pixels: a JPEG's sides must be at most 65535; write .png");
}

TEST(Pictures, ThatAreBrokenAreRefused) {
  const TemporaryFolder folder;
  const auto refusal = [&](const std::string& bytes) {
    put_bytes(folder / "a", bytes);
    const std::string error = error_of([&] { read_picture(folder / "a"); });
    return error.starts_with("file: " + (folder / "a") + ": ") ? error.substr((folder / "a").size() + 8) : error;
  };
  write_png(folder / "b.png", pattern(64, 64, 3));
  write_jpeg(folder / "b.jpg", pattern(64, 64, 3));
  for (const char* name : {"b.png", "b.jpg"}) {
    const std::string bytes = bytes_of(folder / name);
    EXPECT_EQ(refusal(bytes), "nothing thrown");
    for (const std::size_t length : {bytes.size() / 2, bytes.size() - 200}) {
      EXPECT_EQ(refusal(bytes.substr(0, length)),
                "is cut short: the picture needs more than its " + std::to_string(length) + " bytes");
    }
  }
  EXPECT_EQ(refusal("GIF89a and what follows").substr(0, 32), "is no PNG, JPEG or BMP picture (");
  EXPECT_EQ(refusal(""), "is empty; copy or make it again");

  // A BMP header alone, of 30000 x 30000 pixels in 24 bits: nothing is read beyond it.
  std::string bmp("BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x30\x75\0\0\x30\x75\0\0\1\0\x18\0", 30);
  bmp.resize(54);
  EXPECT_EQ(refusal(bmp), "has 30000 x 30000 pixels, but at most 67108864 are read; make it smaller");
  bmp.replace(18, 8, std::string("\2\0\0\0\2\0\0\0", 8));
  EXPECT_EQ(refusal(bmp + std::string(16, '\x7f')), "nothing thrown");
  EXPECT_EQ(refusal(bmp + std::string(10, '\x7f')), "is cut short: the picture needs more than its 64 bytes");
  EXPECT_EQ(error_of([&] { read_picture(folder.path()); }),
            "file: " + folder.path() + ": is a folder; give a file in it");
  EXPECT_EQ(error_of([&] { read_picture(folder / "c"); }), "file: " + (folder / "c") + ": no such file");
}

}  // namespace
}  // namespace onestep
