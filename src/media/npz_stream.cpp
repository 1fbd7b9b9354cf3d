#include "npz_stream.hpp"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "npy.hpp"

namespace onestep {
namespace {

// Source: PKWARE, APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to 4.3.16 (its
// end), 4.5.3 (sizes of 8 bytes). libzip, which writes the small ones, asks for all numbers before it writes any.
constexpr std::uint32_t in_8_bytes = 0xffffffff;
constexpr std::uint64_t version = 45;                // that knows sizes of 8 bytes
constexpr std::uint64_t first_of_1980 = 1 << 5 | 1;  // the earliest day, as in numpy.savez
constexpr std::size_t npy_header_size = 192;         // room for any number of rows

class Bytes {
 public:
  Bytes& put(std::uint64_t number, int size) {
    for (int i = 0; i < size; ++i) bytes_.push_back(static_cast<std::byte>(number >> 8 * i & 0xff));
    return *this;
  }
  Bytes& put(const std::string& text) {
    const auto bytes = std::as_bytes(std::span(text));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  std::span<const std::byte> all() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

std::uint32_t checksum(std::uint32_t before, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t some = std::min<std::size_t>(bytes.size(), std::numeric_limits<uInt>::max());
    before = static_cast<std::uint32_t>(
        crc32(before, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(some)));
    bytes = bytes.subspan(some);
  }
  return before;
}

}  // namespace

void NpzStream::append(std::span<const std::byte> bytes) {
  file_.write(bytes);
  size_ += bytes.size();
}

void NpzStream::begin(const std::string& name, const std::string& type, const std::vector<std::int64_t>& shape) {
  end();
  Entry entry{name + ".npy", type, shape};
  entry.row_bytes = static_cast<std::uint64_t>(type.back() - '0');
  for (const std::int64_t side : shape) entry.row_bytes *= static_cast<std::uint64_t>(side);
  entry.place = size_;
  // Headers follow when the array ends.
  const std::vector<std::byte> room(30 + entry.name.size() + 20 + npy_header_size);
  append(room);
  entries_.push_back(std::move(entry));
}

void NpzStream::write(std::span<const std::byte> rows) {
  Entry& entry = entries_.back();
  entry.sum = checksum(entry.sum, rows);
  entry.bytes += rows.size();
  append(rows);
}

void NpzStream::end() {
  if (entries_.empty()) return;
  Entry& entry = entries_.back();
  std::vector<std::int64_t> shape = entry.shape;
  shape.insert(shape.begin(), static_cast<std::int64_t>(entry.row_bytes > 0 ? entry.bytes / entry.row_bytes : 0));
  std::string header = npy_header(entry.type, shape);
  // Longer by blanks: the length of its text stands in bytes 8 and 9.
  header.insert(header.size() - 1, npy_header_size - header.size(), ' ');
  header[8] = static_cast<char>((npy_header_size - 10) % 256);
  header[9] = static_cast<char>((npy_header_size - 10) / 256);
  const auto of_header = checksum(0, std::as_bytes(std::span(header)));
  entry.sum = static_cast<std::uint32_t>(crc32_combine(of_header, entry.sum, static_cast<z_off_t>(entry.bytes)));
  entry.bytes += header.size();
  Bytes local;
  local.put(0x04034b50, 4).put(version, 2).put(0, 2).put(0, 2).put(0, 2).put(first_of_1980, 2).put(entry.sum, 4);
  local.put(in_8_bytes, 4).put(in_8_bytes, 4).put(entry.name.size(), 2).put(20, 2).put(entry.name);
  local.put(1, 2).put(16, 2).put(entry.bytes, 8).put(entry.bytes, 8).put(header);
  file_.write_at(entry.place, local.all());
}

void NpzStream::commit() {
  end();
  const std::uint64_t place = size_;
  for (const Entry& entry : entries_) {
    Bytes central;
    central.put(0x02014b50, 4).put(version, 2).put(version, 2).put(0, 2).put(0, 2).put(0, 2).put(first_of_1980, 2);
    central.put(entry.sum, 4).put(in_8_bytes, 4).put(in_8_bytes, 4).put(entry.name.size(), 2).put(28, 2).put(0, 2);
    central.put(0, 2).put(0, 2).put(0, 4).put(in_8_bytes, 4).put(entry.name);
    central.put(1, 2).put(24, 2).put(entry.bytes, 8).put(entry.bytes, 8).put(entry.place, 8);
    append(central.all());
  }
  const std::uint64_t count = entries_.size(), bytes = size_ - place, end_place = size_;
  Bytes ends;
  ends.put(0x06064b50, 4).put(44, 8).put(version, 2).put(version, 2).put(0, 4).put(0, 4).put(count, 8).put(count, 8);
  ends.put(bytes, 8).put(place, 8);
  ends.put(0x07064b50, 4).put(0, 4).put(end_place, 8).put(1, 4);
  ends.put(0x06054b50, 4)
      .put(0, 2)
      .put(0, 2)
      .put(count, 2)
      .put(count, 2)
      .put(in_8_bytes, 4)
      .put(in_8_bytes, 4)
      .put(0, 2);
  append(ends.all());
  file_.commit();
}

}  // namespace onestep
