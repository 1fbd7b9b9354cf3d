#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "output_file.hpp"

namespace onestep {

/// A .npz written as its numbers come, in bounded memory: arrays one after the other, stored uncompressed, of any size
/// (zip64). Whole or not at all, as OutputFile. Throws Error (file).
class NpzStream {
 public:
  explicit NpzStream(const std::string& path) : file_(path) {}

  /// Ends the array before, and begins one of [rows, ...shape], whose rows are counted as they come. type: NumPy's
  /// name, such as "|u1".
  void begin(const std::string& name, const std::string& type, const std::vector<std::int64_t>& shape);
  /// Whole rows.
  void write(std::span<const std::byte> rows);
  void commit();

 private:
  struct Entry {
    std::string name, type;
    std::vector<std::int64_t> shape;
    std::uint64_t row_bytes = 0, place = 0, bytes = 0;  // of the numbers
    std::uint32_t sum = 0;                              // CRC-32: of the numbers, at the end of all
  };

  void end();
  void append(std::span<const std::byte> bytes);

  OutputFile file_;
  std::uint64_t size_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace onestep
