#include "reference_set.hpp"

#include <gtest/gtest.h>
#include <zip.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "array_file.hpp"
#include "child_process.hpp"
#include "output_file.hpp"
#include "picture_file.hpp"
#include "temporary_folder.hpp"

namespace onestep {
namespace {

using Values = std::vector<float>;

const SampleFormat grey{Modality::image, {1, 1, 2}}, colour{Modality::image, {3, 1, 2}},
    glass{Modality::image, {4, 1, 2}, 0, 1}, sound{Modality::audio, {1, 2}};

void put_picture(const std::string& file, int channels, const std::vector<std::uint8_t>& pixels) {
  write_file(file, encode_png({2, 1, channels, pixels}));
}

void put_npy(const std::string& file, const Values& values, const std::vector<std::int64_t>& shape) {
  write_file(file, encode_npy({std::vector{std::span(values)}, shape}));
}

std::string refusal(const std::string& path, const SampleFormat& format) {
  const std::string error = error_of([&] { read_reference_set(path, format, 100); });
  const std::string start = "file: " + path;
  return error.starts_with(start) ? error.substr(start.size()) : error;
}

TEST(ReferenceSet, OfAFolderHoldsItsPicturesAlone) {
  const TemporaryFolder folder;
  put_picture(folder / "b.png", 1, {0, 255});
  put_picture(folder / "a.PNG", 3, {255, 255, 255, 0, 0, 0});  // grey in three channels
  std::filesystem::create_directories(folder / "more/.thumbnails");
  put_picture(folder / "more/c.png", 1, {255, 255});
  put_bytes(folder / "more/.thumbnails/c.png", "no picture");
  put_bytes(folder / "._a.png", "a resource fork");
  put_bytes(folder / "labels.csv", "a,b");
  EXPECT_EQ(read_reference_set(folder.path(), grey, 100), (Values{1, -1, -1, 1, 1, 1}));
  EXPECT_EQ(read_reference_set(folder.path(), grey, 2), (Values{1, -1, -1, 1}));
  // Grey among colours.
  EXPECT_EQ(read_reference_set(folder.path(), colour, 1), (Values{1, -1, 1, -1, 1, -1}));

  put_bytes(folder / "more/d.TIFF", "II*");
  EXPECT_EQ(refusal(folder.path(), grey),
            "/more/d.TIFF: is a picture, but of a kind that is not read; make it a PNG, or take it out of the folder");
}

TEST(ReferenceSet, OfOtherPicturesIsRefusedByName) {
  const TemporaryFolder folder;
  put_picture(folder / "a.png", 3, {9, 9, 9, 1, 2, 3});
  EXPECT_EQ(refusal(folder.path(), grey), "/a.png: is in colour, but must be grey; make it grey first");
  EXPECT_EQ(refusal(folder.path(), glass).substr(0, 27), "/a.png: has no opacity, but");
  EXPECT_EQ(refusal(folder.path(), {Modality::image, {3, 2, 2}}),
            "/a.png: has 2 x 1 pixels, but must have 2 x 2; resize it");
  EXPECT_EQ(refusal(folder.path(), sound),
            ": a folder holds pictures, but the samples are to be audio; give them as .npy or .npz");
  put_picture(folder / "a.png", 4, {255, 0, 51, 255, 0, 0, 0, 0});
  EXPECT_EQ(read_reference_set(folder.path(), glass, 9), (Values{1, 0, 0, 0, 0.2F, 0, 1, 0}));
  std::filesystem::remove(folder / "a.png");
  EXPECT_EQ(refusal(folder.path(), grey), ": has no PNG, JPEG or BMP pictures");
}

TEST(ReferenceSet, ThatCantBeReachedIsRefused) {
  const TemporaryFolder folder;
  EXPECT_EQ(refusal(folder / "none", grey), ": no such file");
  EXPECT_EQ(refusal(folder / std::string(300, 'n'), grey), ": can't be read: File name too long; give another path");
  std::filesystem::create_symlink("loop", folder / "loop");
  EXPECT_EQ(refusal(folder / "loop/x.npy", grey),
            ": can't be read: Too many levels of symbolic links; give another path");
  std::filesystem::create_directory(folder / "private");
  std::filesystem::permissions(folder / "private", std::filesystem::perms::none);
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  as_nobody([&] {
    EXPECT_EQ(refusal(folder.path(), grey),
              "/private: can't be read: Permission denied; give a folder that you may read, with all that is in it");
    EXPECT_EQ(refusal(folder / "private/x.npy", grey),
              ": can't be read: Permission denied; give a path that you may read");
  });
  std::filesystem::permissions(folder / "private", std::filesystem::perms::owner_all);
}

TEST(ReferenceSet, OfAnArrayIsFiniteAndOfTheRange) {
  const TemporaryFolder folder;
  Values values(20);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) / 20;
  put_npy(folder / "a.npy", values, {10, 1, 2});
  EXPECT_EQ(read_reference_set(folder / "a.npy", sound, 100), values);
  EXPECT_EQ(read_reference_set(folder / "a.npy", sound, 2), (Values{0, 0.05F, 0.5F, 0.55F}));
  EXPECT_EQ(refusal(folder / "a.npy", grey), ": has shape [10, 1, 2], but must be [M, ...] with ... = [1, 1, 2]");

  values[15] = -std::numeric_limits<float>::infinity();
  put_npy(folder / "a.npy", values, {10, 1, 2});
  EXPECT_EQ(refusal(folder / "a.npy", sound),
            ": sample 7 holds infinity; all values must be finite: leave it out, or make it again");
  values[2] = NAN;
  const ArrayView view{std::vector{std::span<const float>(values)}, {10, 1, 2}};
  write_file(folder / "a.npz", encode_npz({{"samples", view}}));
  EXPECT_EQ(refusal(folder / "a.npz", sound),
            ": sample 1 holds NaN; all values must be finite: leave it out, or make it again");

  put_npy(folder / "bytes.npy", {0, 0, 9, 200}, {2, 1, 2});
  EXPECT_EQ(refusal(folder / "bytes.npy", sound),
            ": the mean of its values, 52.25, lies outside the range [-1, 1]; scale them to it");
}

/// A .npz whose array `samples` is a .npy of this header and so many zeros, deflated.
void put_zipped(const std::string& file, const std::string& header, std::size_t zeros) {
  int code = 0;
  const std::unique_ptr<zip_t, decltype(&zip_close)> zip(zip_open(file.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code),
                                                         zip_close);
  ASSERT_TRUE(zip);
  std::string content = std::string("\x93NUMPY\1\0", 8) + static_cast<char>(header.size()) + '\0' + header;
  content.resize(content.size() + zeros);
  void* copy = std::malloc(content.size());
  std::copy(content.begin(), content.end(), static_cast<char*>(copy));
  zip_source_t* source = zip_source_buffer(zip.get(), copy, content.size(), 1);
  ASSERT_GE(zip_file_add(zip.get(), "samples.npy", source, 0), 0);
}

TEST(ReferenceSet, OfAnArchiveIsRefusedBeforeItIsUnpacked) {
  const TemporaryFolder folder;
  const std::string file = folder / "a.npz", start = "{'descr': '<f4', 'fortran_order': False, 'shape': ";
  constexpr std::size_t size = 64 << 20;
  // None of the numbers can be right: a shape that is not the model's, and one that contradicts the archive.
  const std::pair<std::string, std::string> cases[] = {
      {start + "(16777216,), }", ": has shape [16777216], but must be [M, ...] with ... = [1, 2]"},
      {start + "(4, 1, 2), }",
       ": samples.npy: shape = [4, 1, 2] needs 32 bytes of numbers, but the file has 67108864; copy or make it "
       "again"}};
  for (const auto& [header, message] : cases) {
    put_zipped(file, header, size);
    EXPECT_LT(std::filesystem::file_size(file), size / 500);
    EXPECT_LT(memory_use([&, &message = message] { EXPECT_EQ(refusal(file, sound), message); }), 4 << 20);
  }
  // And of those that are right no more is kept than is asked for.
  put_zipped(file, start + "(8388608, 1, 2), }", size);
  EXPECT_LT(memory_use([&] { EXPECT_EQ(read_reference_set(file, sound, 3), Values(6)); }), 4 << 20);
}

TEST(ReferenceSet, OfADamagedArchiveIsRefused) {
  const TemporaryFolder folder;
  const std::string file = folder / "a.npz";
  const Values values{0.5F, 0.25F, -0.5F, 0};
  const ArrayView view{std::vector{std::span<const float>(values)}, {2, 1, 2}};
  const auto whole = encode_npz({{"samples", view}});
  write_file(file, whole);
  EXPECT_EQ(read_reference_set(file, sound, 9), values);
  // A number's bits, of which the archive keeps a checksum.
  const auto at = std::search(whole.begin(), whole.end(), std::as_bytes(std::span(values)).begin(),
                              std::as_bytes(std::span(values)).end());
  auto damaged = whole;
  damaged[static_cast<std::size_t>(at - whole.begin())] ^= std::byte{1};
  write_file(file, damaged);
  EXPECT_EQ(refusal(file, sound), ": samples.npy: is damaged; copy or make the file again");
  for (std::size_t length = 1; length < whole.size(); ++length) {
    write_file(file, std::span(whole).first(length));
    EXPECT_EQ(refusal(file, sound), ": is no .npz file, or is damaged; write one with numpy.savez") << length;
  }
  write_file(file, encode_npz({{"images", view}}));
  EXPECT_EQ(refusal(file, sound), ": has no array samples; it has images.npy");
}

TEST(ReferenceSet, OfIdxIsCheckedAsItIsRead) {
  const TemporaryFolder folder;
  const std::string file = folder / "a-idx3-ubyte";
  const std::string header("\0\0\x08\3\0\0\0\2\0\0\0\1\0\0\0\2", 16), pixels("\0\xff\xff\0", 4);
  put_bytes(file, header + pixels);
  EXPECT_EQ(read_reference_set(file, grey, 9), (Values{-1, 1, 1, -1}));
  const gzFile packed = gzopen((file + ".gz").c_str(), "wb");
  gzwrite(packed, (header + pixels).data(), 20);
  gzclose(packed);
  EXPECT_EQ(read_reference_set(file + ".gz", grey, 9), (Values{-1, 1, 1, -1}));
  EXPECT_EQ(refusal(file, colour), ": has shape [2, 1, 2], but must be [M, ...] with ... = [3, 1, 2]");
  const std::string cut = ": is cut short or damaged; copy or make it again";
  for (const std::size_t length : {3, 15, 19}) {
    put_bytes(file, (header + pixels).substr(0, length));
    EXPECT_EQ(refusal(file, grey), cut) << length;
  }
  // 255 sizes, 4 billion samples: nothing is taken for what is not there.
  put_bytes(file, std::string("\0\0\x08\xff", 4) + header);
  EXPECT_EQ(refusal(file, grey), cut);
  put_bytes(file, std::string("\0\0\x08\3\xff\xff\xff\xff\0\0\0\1\0\0\0\2", 16) + pixels);
  EXPECT_EQ(refusal(file, grey), cut);
  put_bytes(file, "GIF89a");
  EXPECT_EQ(refusal(file, grey), ": is none of a folder of pictures, a .npy, a .npz and an IDX file of bytes");
}

}  // namespace
}  // namespace onestep
