#include "npy.hpp"

#include <bit>
#include <string_view>

#include "values.hpp"

namespace onestep {

static_assert(std::endian::native == std::endian::little, "numbers are written and read as they lie in memory");

std::vector<std::span<const std::byte>> array_bytes(const ArrayView& array) {
  std::vector<std::span<const std::byte>> pieces;
  if (const auto* floats = std::get_if<std::vector<std::span<const float>>>(&array.values)) {
    for (const auto& piece : *floats) pieces.push_back(std::as_bytes(piece));
  } else if (const auto* labels = std::get_if<std::span<const std::int64_t>>(&array.values)) {
    pieces.push_back(std::as_bytes(*labels));
  } else if (const auto* doubles = std::get_if<std::span<const double>>(&array.values)) {
    pieces.push_back(std::as_bytes(*doubles));
  } else {
    pieces.push_back(std::as_bytes(std::get<std::span<const std::uint64_t>>(array.values)));
  }
  return pieces;
}

const char* type_name(const ArrayView& array) {
  constexpr const char* types[] = {"<f4", "<i8", "<u8", "<f8"};  // in the order of the variant
  return types[array.values.index()];
}

std::string npy_header(const ArrayView& array) {
  constexpr std::size_t sizes[] = {sizeof(float), sizeof(std::int64_t), sizeof(std::uint64_t), sizeof(double)};
  std::size_t bytes = 0;
  for (const auto& piece : array_bytes(array)) bytes += piece.size();
  require_shape(bytes / sizes[array.values.index()], array.shape);
  return npy_header(type_name(array), array.shape);
}

std::string npy_header(const std::string& type, const std::vector<std::int64_t>& sizes) {
  std::string shape;
  for (const auto size : sizes) shape += (shape.empty() ? "" : ", ") + std::to_string(size);
  if (sizes.size() == 1) shape += ',';
  std::string text = "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  // The numbers start at a multiple of 64 bytes: magic, version 1.0, length of the text in two bytes, text.
  constexpr std::string_view magic = "\x93NUMPY";
  const std::size_t start = magic.size() + 4;
  text.resize((start + text.size() + 1 + 63) / 64 * 64 - start - 1, ' ');
  text += '\n';
  std::string header(magic);
  for (const std::size_t byte : {std::size_t{1}, std::size_t{0}, text.size() % 256, text.size() / 256}) {
    header += static_cast<char>(byte);
  }
  return header + text;
}

std::vector<std::byte> encode_npy(const ArrayView& array) {
  const std::string header = npy_header(array);
  const auto pieces = array_bytes(array);
  std::size_t size = header.size();
  for (const auto& piece : pieces) size += piece.size();
  std::vector<std::byte> bytes;
  bytes.reserve(size);
  const auto start = std::as_bytes(std::span(header));
  bytes.insert(bytes.end(), start.begin(), start.end());
  for (const auto& piece : pieces) bytes.insert(bytes.end(), piece.begin(), piece.end());
  return bytes;
}

}  // namespace onestep
