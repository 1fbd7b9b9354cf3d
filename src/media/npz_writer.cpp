#include "npz_writer.hpp"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "array_file.hpp"
#include "npy.hpp"

namespace onestep {
namespace {

// Source: PKWARE, APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 to 4.3.16 (its
// end), 4.5.3 (sizes of 8 bytes). libzip asks for all numbers before it writes any.
constexpr std::uint32_t in_8_bytes = 0xffffffff;
constexpr std::uint64_t version = 45;                // that knows sizes of 8 bytes
constexpr std::uint64_t first_of_1980 = 1 << 5 | 1;  // the earliest day, as in numpy.savez
constexpr std::size_t npy_header_size = 192;         // room for any number of rows
constexpr std::size_t longest_comment = 65535;

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

void NpzWriter::append(std::span<const std::byte> bytes) {
  put_(size_, bytes);
  size_ += bytes.size();
}

void NpzWriter::begin(const std::string& name, const std::string& type, const std::vector<std::int64_t>& shape) {
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

void NpzWriter::write(std::span<const std::byte> rows) {
  Entry& entry = entries_.back();
  entry.sum = checksum(entry.sum, rows);
  entry.bytes += rows.size();
  append(rows);
}

void NpzWriter::end() {
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
  put_(entry.place, local.all());
}

void NpzWriter::finish(const std::string& comment) {
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
  const std::string text = comment.size() <= longest_comment ? comment : "";
  ends.put(0x06054b50, 4).put(0, 2).put(0, 2).put(count, 2).put(count, 2).put(in_8_bytes, 4).put(in_8_bytes, 4);
  ends.put(text.size(), 2).put(text);
  append(ends.all());
}

std::vector<std::byte> encode_npz(const std::vector<std::pair<std::string, ArrayView>>& arrays) {
  std::vector<std::byte> bytes;
  std::size_t size = 1024;
  for (const auto& [name, array] : arrays) {
    npy_header(array);  // or what is wrong with the array
    size += 2 * name.size() + 1024;
    for (const auto& piece : array_bytes(array)) size += piece.size();
  }
  bytes.reserve(size);
  NpzWriter npz([&](std::uint64_t place, std::span<const std::byte> more) {
    bytes.resize(std::max(bytes.size(), static_cast<std::size_t>(place) + more.size()));
    std::copy(more.begin(), more.end(), bytes.begin() + static_cast<std::ptrdiff_t>(place));
  });
  for (const auto& [name, array] : arrays) {
    npz.begin(name, type_name(array), {array.shape.begin() + (array.shape.empty() ? 0 : 1), array.shape.end()});
    for (const auto& piece : array_bytes(array)) npz.write(piece);
  }
  npz.finish();
  return bytes;
}

}  // namespace onestep
