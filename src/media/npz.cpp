#include <zip.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>

#include "npy.hpp"
#include "onestep/error.hpp"

namespace onestep {
namespace {

/// An archive in memory, as libzip's sources are. libzip's own would hold the numbers once more. What is written fits
/// what is reserved: no exception passes through libzip.
struct Memory {
  std::vector<std::byte> bytes;
  std::size_t at = 0;
  zip_error_t error;
};

zip_int64_t serve(void* user, void* data, zip_uint64_t size, zip_source_cmd_t command) {
  auto& memory = *static_cast<Memory*>(user);
  switch (command) {
    case ZIP_SOURCE_SUPPORTS:
      return zip_source_make_command_bitmap(
          ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE,
          ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_BEGIN_WRITE, ZIP_SOURCE_COMMIT_WRITE, ZIP_SOURCE_ROLLBACK_WRITE,
          ZIP_SOURCE_WRITE, ZIP_SOURCE_SEEK_WRITE, ZIP_SOURCE_TELL_WRITE, ZIP_SOURCE_REMOVE, ZIP_SOURCE_SUPPORTS, -1);
    case ZIP_SOURCE_STAT:
      zip_stat_init(static_cast<zip_stat_t*>(data));
      static_cast<zip_stat_t*>(data)->size = 0;
      static_cast<zip_stat_t*>(data)->valid = ZIP_STAT_SIZE;
      return sizeof(zip_stat_t);
    case ZIP_SOURCE_ERROR:
      return zip_error_to_data(&memory.error, data, size);
    case ZIP_SOURCE_TELL_WRITE:
      return static_cast<zip_int64_t>(memory.at);
    case ZIP_SOURCE_SEEK_WRITE: {
      const zip_int64_t to = zip_source_seek_compute_offset(memory.at, memory.bytes.size(), data, size, &memory.error);
      if (to >= 0) memory.at = static_cast<std::size_t>(to);
      return to < 0 ? -1 : 0;
    }
    case ZIP_SOURCE_WRITE:
      if (memory.at + size > memory.bytes.capacity()) {
        zip_error_set(&memory.error, ZIP_ER_MEMORY, 0);
        return -1;
      }
      memory.bytes.resize(std::max(memory.bytes.size(), memory.at + size));
      std::memcpy(memory.bytes.data() + memory.at, data, size);
      memory.at += size;
      return static_cast<zip_int64_t>(size);
    default:  // opening, closing, beginning and ending need nothing done; nothing is read, the archive being new
      return 0;
  }
}

}  // namespace

std::vector<std::byte> encode_npz(const std::vector<std::pair<std::string, ArrayView>>& arrays) {
  // zip_close reads headers and numbers from where they lie.
  std::deque<std::string> headers;
  std::deque<std::vector<std::span<const std::byte>>> numbers;
  std::size_t size = 1024;
  for (const auto& [name, array] : arrays) {
    size += headers.emplace_back(npy_header(array)).size() + 2 * name.size() + 1024;
    for (const auto& piece : numbers.emplace_back(array_bytes(array))) size += piece.size();
  }
  Memory memory;
  memory.bytes.reserve(size);
  zip_error_init(&memory.error);

  const auto fail = [](zip_error_t* error) {
    throw Error(ErrorKind::usage, "the arrays can't be made a .npz: " + std::string(zip_error_strerror(error)));
  };
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* target = zip_source_function_create(serve, &memory, &error);
  if (!target) fail(&error);
  std::unique_ptr<zip_t, decltype(&zip_discard)> zip(zip_open_from_source(target, ZIP_CREATE | ZIP_TRUNCATE, &error),
                                                     zip_discard);
  if (!zip) {
    zip_source_free(target);
    fail(&error);
  }
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    std::vector<zip_buffer_fragment_t> parts;
    const auto add = [&](const void* data, std::size_t bytes) {
      if (bytes > 0) parts.push_back({static_cast<zip_uint8_t*>(const_cast<void*>(data)), bytes});
    };
    add(headers[i].data(), headers[i].size());
    for (const auto& piece : numbers[i]) add(piece.data(), piece.size());
    zip_source_t* source = zip_source_buffer_fragment(zip.get(), parts.data(), parts.size(), 0);
    const std::string entry = arrays[i].first + ".npy";
    const zip_int64_t index = source ? zip_file_add(zip.get(), entry.c_str(), source, ZIP_FL_ENC_UTF_8) : -1;
    if (index < 0) {
      zip_source_free(source);
      fail(zip_get_error(zip.get()));
    }
    constexpr zip_uint16_t first_of_1980 = 1 << 5 | 1;  // the earliest day that a zip can hold, as in numpy.savez
    if (zip_set_file_compression(zip.get(), index, ZIP_CM_STORE, 0) != 0 ||
        zip_file_set_dostime(zip.get(), index, 0, first_of_1980, 0) != 0) {
      fail(zip_get_error(zip.get()));
    }
  }
  if (zip_close(zip.get()) != 0) fail(zip_get_error(zip.get()));
  zip.release();
  return std::move(memory.bytes);
}

}  // namespace onestep
