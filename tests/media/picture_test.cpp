#include "picture.hpp"

#include <gtest/gtest.h>
#include <webp/decode.h>

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
            "usage: shape = [2, 2, 2] has 2 channels, but a picture has 1, 3 or 4; write such samples to .npy or .npz");
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
  EXPECT_EQ(error_of([&] { enlarge(picture, 0); }), "usage: enlarge = 0 must be 1 or more");
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

TEST(Paste, PutsGreyIntoColourAndMakesItOpaque) {
  Picture canvas{3, 1, 4, Bytes(12, 7)};
  paste(canvas, {1, 1, 1, {5}}, 0, 0);
  paste(canvas, {1, 1, 3, {1, 2, 3}}, 1, 0);
  paste(canvas, {1, 1, 4, {1, 2, 3, 4}}, 2, 0);
  EXPECT_EQ(canvas.pixels, (Bytes{5, 5, 5, 255, 1, 2, 3, 255, 1, 2, 3, 4}));
  EXPECT_EQ(error_of([&] {
              paste(canvas, {2, 1, 1, {1, 2}}, 2, 0);
            }),
            "usage: a tile of 2 x 1 at (2, 0) must fit a canvas of 3 x 1 with as many channels or more");
}

TEST(Encode, KeepsPicturesAsTheyAre) {
  for (const int channels : {1, 3, 4}) {
    const Picture picture = pattern(31, 17, channels);
    const auto png = encode_png(picture, {{"Title", "seed 7"}, {"Comment", "\xcf\x83 = 80"}});
    const PictureValues back = decode_picture(png, "a.png");
    EXPECT_EQ(back.width, 31);
    EXPECT_EQ(back.height, 17);
    const std::vector<float> planes = to_sample(back, channels, 0, 255, "a.png");
    const auto webp = encode_webp({picture});
    std::vector<std::uint8_t> decoded(31 * 17 * 4);
    ASSERT_TRUE(WebPDecodeRGBAInto(reinterpret_cast<const std::uint8_t*>(webp.data()), webp.size(), decoded.data(),
                                   decoded.size(), 31 * 4));
    for (int pixel = 0; pixel < 31 * 17; ++pixel) {
      for (int c = 0; c < channels; ++c) {
        const std::uint8_t expected = picture.pixels[pixel * channels + c];
        EXPECT_EQ(decoded[4 * pixel + c], expected);
        // What is seen of a colour through no opacity is nothing.
        const bool unseen = channels == 4 && picture.pixels[pixel * 4 + 3] == 0;
        EXPECT_NEAR(planes[c * 31 * 17 + pixel], unseen ? 0 : expected, 1e-4);  // float32 of 255
      }
      if (channels < 4) {
        EXPECT_EQ(decoded[4 * pixel + 3], 255);
      }
    }
  }
  const auto png = encode_png(pattern(1, 1, 1), {{"Title", "seed 7"}, {"Comment", "\xcf\x83 = 80"}});
  const std::string bytes(reinterpret_cast<const char*>(png.data()), png.size());
  EXPECT_NE(bytes.find(std::string("tEXtTitle\0seed 7", 16)), bytes.npos);
  EXPECT_NE(bytes.find("iTXtComment"), bytes.npos);
  EXPECT_EQ(error_of([&] {
              encode_png(pattern(1, 1, 1), {{"", "x"}});
            }),
            "usage: the PNG keyword \"\" must be 1 to 79 characters of printable ASCII");
}

TEST(Encode, KeepsJpegsNearly) {
  for (const int channels : {1, 3}) {
    Picture picture = blank_picture(32, 16, channels);
    for (int i = 0; i < 32 * 16; ++i) picture.pixels[channels * i] = static_cast<std::uint8_t>(8 * (i % 32));
    const PictureValues back = decode_picture(encode_jpeg(picture), "a.jpg");
    ASSERT_EQ(back.channels, channels);
    ASSERT_EQ(back.values.size(), picture.pixels.size());
    // Quality 95 quantizes the coefficients of a ramp in steps of a few levels.
    for (std::size_t i = 0; i < back.values.size(); ++i) EXPECT_NEAR(255 * back.values[i], picture.pixels[i], 8);
  }
  EXPECT_EQ(error_of([&] { encode_jpeg(blank_picture(65501, 1, 1)); }),
            "usage: 65501 x 1 pixels: a JPEG's sides must be at most 65500; write .png");
  EXPECT_EQ(error_of([&] { encode_jpeg(blank_picture(1, 1, 4)); }),
            "usage: a picture of 4 channels has opacity, which no JPEG holds; write .png or .webp");
}

}  // namespace
}  // namespace onestep
