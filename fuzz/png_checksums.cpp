// What changes a PNG here, sets its checksums right: else hardly a change would get beyond them.
#include <zlib.h>

#include <cstddef>
#include <cstdint>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                               unsigned int seed) {
  size = LLVMFuzzerMutate(data, size, most);
  if (seed % 16 == 0) return size;  // wrong ones, too
  // After 8 bytes: length, kind, data, checksum of kind and data.
  std::size_t at = 8;
  while (at + 12 <= size) {
    const std::uint8_t* length = data + at;
    const std::size_t count = std::size_t{length[0]} << 24 | length[1] << 16 | length[2] << 8 | length[3];
    if (count > size - at - 12) break;
    const auto sum = crc32(0, data + at + 4, static_cast<unsigned>(count + 4));
    for (int i = 0; i < 4; ++i) data[at + 8 + count + i] = static_cast<std::uint8_t>(sum >> (24 - 8 * i));
    at += 12 + count;
  }
  return size;
}
