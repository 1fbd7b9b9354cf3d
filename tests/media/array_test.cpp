#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>

#include "array_file.hpp"
#include "output_file.hpp"
#include "temporary_folder.hpp"

namespace onestep {
namespace {

void python(const std::string& action, const TemporaryFolder& folder) {
  const std::string command = ONESTEP_TEST_PYTHON " " ONESTEP_TEST_SOURCE "/check_arrays.py " + action + " ";
  ASSERT_EQ(std::system((command + folder.path()).c_str()), 0);
}

std::vector<std::span<const float>> whole(const std::vector<float>& values) { return {values}; }

std::vector<float> numbers() {
  std::vector<float> values(24);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = i / 8.0F;
  return values;
}

TEST(Arrays, AreReadByNumPy) {
  const TemporaryFolder folder;
  const std::vector<float> floats = numbers();
  const float number = 2.5F;
  const std::vector<std::int64_t> one{-5}, labels{3, -1};
  const std::vector<std::uint64_t> seeds{7, ~std::uint64_t{0}};
  write_file(folder / "floats.npy", encode_npy({whole(floats), {2, 3, 4}}));
  write_file(folder / "one.npy", encode_npy({std::span(one), {1}}));
  write_file(folder / "none.npy", encode_npy({std::span<const std::uint64_t>(), {0, 3}}));
  write_file(folder / "number.npy", encode_npy({std::vector{std::span(&number, 1)}, {}}));
  // In pieces as in one.
  const auto first = std::span(floats).first(7), last = std::span(floats).subspan(7);
  const std::vector<std::pair<std::string, ArrayView>> arrays{{"samples", {std::vector{first, last}, {2, 3, 4}}},
                                                              {"seeds", {std::span(seeds), {2}}},
                                                              {"labels", {std::span(labels), {2}}}};
  write_file(folder / "all.npz", encode_npz(arrays));
  python("check", folder);

  EXPECT_EQ(encode_npz(arrays), encode_npz(arrays));
  EXPECT_EQ(folder.file_count(), 5);
}

TEST(Arrays, OfNumPyAreRead) {
  const TemporaryFolder folder;
  python("write", folder);
  for (const char* file : {"v1.npy", "v2.npy", "v3.npy"}) {
    const FloatArray array = read_npy(folder / file);
    EXPECT_EQ(array.shape, (std::vector<std::int64_t>{2, 3, 4})) << file;
    EXPECT_EQ(array.values, numbers()) << file;
  }
  EXPECT_EQ(read_npy(folder / "scalar.npy").shape, std::vector<std::int64_t>());
  EXPECT_EQ(read_npy(folder / "scalar.npy").values, std::vector<float>{2.5F});
  EXPECT_EQ(read_npy(folder / "vector.npy").shape, std::vector<std::int64_t>{3});
  EXPECT_EQ(read_npy(folder / "empty.npy").shape, (std::vector<std::int64_t>{0, 3}));

  const auto refusal = [&](const std::string& file) { return error_of([&] { read_npy(folder / file); }); };
  EXPECT_EQ(refusal("double.npy"), "file: " + (folder / "double.npy") +
                                       ": descr = '<f8' must be '<f4', little-endian float32; save it after "
                                       ".astype('<f4')");
  EXPECT_EQ(refusal("big_endian.npy"), "file: " + (folder / "big_endian.npy") +
                                           ": descr = '>f4' must be '<f4', little-endian float32; save it after "
                                           ".astype('<f4')");
  EXPECT_EQ(refusal("fortran.npy"), "file: " + (folder / "fortran.npy") +
                                        ": fortran_order = True must be False; save it after numpy.ascontiguousarray");
  EXPECT_EQ(refusal("record.npy"), "file: " + (folder / "record.npy") +
                                       ": descr = [('a', '<f4'), ('b', '<i4')] must be '<f4', little-endian float32; "
                                       "save it after .astype('<f4')");
}

std::string npy(const std::string& header, std::size_t data_bytes) {
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header +
         std::string(data_bytes, '\0');
}

TEST(Npy, ThatIsBrokenIsRefusedByValueAndRule) {
  const TemporaryFolder folder;
  const std::string file = folder / "z.npy";
  const auto refusal = [&](const std::string& bytes) {
    put_bytes(file, bytes);
    return error_of([&] { read_npy(file); });
  };
  const std::string begin = "{'descr': '<f4', 'fortran_order': False, 'shape': ";
  EXPECT_EQ(refusal(npy(begin + "(2,), }", 8)), "nothing thrown");

  const std::string shapes = " must be sizes of 0 or more, fewer than 2^63 bytes in all";
  const std::string again = "; copy or make it again";
  const std::pair<std::string, std::string> cases[] = {
      {"", "is empty; copy or make it again"},
      {"PK\x03\x04", "is no .npy file; write one with numpy.save"},
      {std::string("\x93NUMPY\x04\x00\x10\x00", 10), "has .npy version 4, but 1, 2 and 3 are read"},
      {std::string("\x93NUMPY\x01\x00\x40\x00{'des", 15),
       "is cut short: its header ends at byte 74, but the file has 15" + again},
      {std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff{'des", 17),
       "is cut short: its header ends at byte 4294967307, but the file has 17" + again},
      {npy("garbage", 8), "has a damaged header" + again},
      {npy("{'descr': '<f4, }", 8), "has a damaged header" + again},
      {npy("{'descr': '<f4', 'fortran_order': False}", 8), "has no shape in its header" + again},
      {npy(begin + "(2, -1)}", 8), "shape = (2, -1)" + shapes},
      {npy(begin + "(2, x)}", 8), "shape = (2, x)" + shapes},
      {npy(begin + "(4294967296, 4294967296)}", 8), "shape = (4294967296, 4294967296)" + shapes},
      {npy(begin + "(99999999999999999999,)}", 8), "shape = (99999999999999999999,)" + shapes},
      {npy(begin + "(1000000000000,)}", 8),
       "shape = [1000000000000] needs 4000000000000 bytes of numbers, but the file has 8" + again},
      {npy(begin + "(3,)}", 8), "shape = [3] needs 12 bytes of numbers, but the file has 8" + again},
  };
  for (const auto& [bytes, message] : cases) EXPECT_EQ(refusal(bytes), "file: " + file + ": " + message);
  EXPECT_EQ(error_of([&] { read_npy(folder / "none.npy"); }), "file: " + (folder / "none.npy") + ": no such file");
  EXPECT_EQ(error_of([&] { read_npy(folder.path()); }), "file: " + folder.path() + ": is a folder; give a file in it");
}

TEST(Arrays, OfTheWrongShapeAreNotWritten) {
  const std::vector<float> floats(5);
  const ArrayView array{whole(floats), {2, 3}};
  const std::string message = "usage: shape = [2, 3] needs 6 values, but 5 were given";
  EXPECT_EQ(error_of([&] { encode_npy(array); }), message);
  EXPECT_EQ(error_of([&] { encode_npz({{"samples", array}}); }), message);
}

}  // namespace
}  // namespace onestep
