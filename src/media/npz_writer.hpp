#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace onestep {

/// A .npz written as its numbers come, in bounded memory: arrays one after the other, stored uncompressed, of any size
/// (zip64).
class NpzWriter {
 public:
  /// Puts bytes at a place of the file, which may lie at its end. What it throws passes through.
  using Put = std::function<void(std::uint64_t place, std::span<const std::byte> bytes)>;
  explicit NpzWriter(Put put) : put_(std::move(put)) {}

  /// Ends the array before, and begins one of [rows, ...shape], whose rows are counted as they come. type: NumPy's
  /// name, such as "|u1".
  void begin(const std::string& name, const std::string& type, const std::vector<std::int64_t>& shape);
  /// Whole rows.
  void write(std::span<const std::byte> rows);
  /// comment: of the archive, which comment_of reads; left out where it is longer than 65535 bytes.
  void finish(const std::string& comment = "");

 private:
  struct Entry {
    std::string name, type;
    std::vector<std::int64_t> shape;
    std::uint64_t row_bytes = 0, place = 0, bytes = 0;  // of the numbers
    std::uint32_t sum = 0;                              // CRC-32: of the numbers, at the end of all
  };

  void end();
  void append(std::span<const std::byte> bytes);

  Put put_;
  std::uint64_t size_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace onestep
