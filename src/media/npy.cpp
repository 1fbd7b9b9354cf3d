#include "npy.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>

#include "input_file.hpp"
#include "onestep/error.hpp"
#include "output_file.hpp"
#include "values.hpp"

namespace onestep {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are written and read as they lie in memory");

constexpr std::string_view magic = "\x93NUMPY";

/// The fields of a Python dictionary as text: "{'a': (1, 2), 'b': False, }" has a -> "(1, 2)" and b -> "False". Nothing
/// where `text` is no such dictionary.
std::optional<std::map<std::string, std::string>> dictionary(std::string_view text) {
  const auto trim = [](std::string_view s) {
    while (!s.empty() && std::strchr(" \n\t", s.front())) s.remove_prefix(1);
    while (!s.empty() && std::strchr(" \n\t", s.back())) s.remove_suffix(1);
    return s;
  };
  text = trim(text);
  if (text.size() < 2 || text.front() != '{' || text.back() != '}') return std::nullopt;
  text = trim(text.substr(1, text.size() - 2));
  std::map<std::string, std::string> fields;
  while (!text.empty()) {
    // A field ends at a comma that stands in no quotes and no brackets.
    std::size_t end = 0, colon = text.npos;
    int depth = 0;
    char quote = 0;
    for (; end < text.size() && !(text[end] == ',' && depth == 0 && !quote); ++end) {
      const char c = text[end];
      if (quote) {
        if (c == quote) quote = 0;
      } else if (c == '\'' || c == '"') {
        quote = c;
      } else if (c == '(' || c == '[') {
        ++depth;
      } else if (c == ')' || c == ']') {
        --depth;
      } else if (c == ':' && colon == text.npos) {
        colon = end;
      }
    }
    if (colon == text.npos || quote || depth != 0) return std::nullopt;
    const std::string_view key = trim(text.substr(0, colon));
    if (key.size() < 2 || (key.front() != '\'' && key.front() != '"') || key.back() != key.front()) return std::nullopt;
    fields[std::string(key.substr(1, key.size() - 2))] = trim(text.substr(colon + 1, end - colon - 1));
    text = trim(text.substr(std::min(end + 1, text.size())));
  }
  return fields;
}

/// "(3, 4)" or "(3,)" or "()". Nothing where `text` is no such tuple.
std::optional<std::vector<std::int64_t>> tuple(std::string_view text) {
  if (text.size() < 2 || text.front() != '(' || text.back() != ')') return std::nullopt;
  std::vector<std::int64_t> sizes;
  const char* at = text.data() + 1;
  const char* const end = text.data() + text.size() - 1;
  while (at < end) {
    const auto [stop, error] = std::from_chars(at, end, sizes.emplace_back());
    if (error != std::errc() || (stop < end && *stop != ',')) return std::nullopt;
    at = stop < end ? stop + 1 : end;
    while (at < end && *at == ' ') ++at;
  }
  return sizes;
}

}  // namespace

std::span<const std::byte> array_bytes(const ArrayView& array) {
  return std::visit([](const auto& values) { return std::as_bytes(values); }, array.values);
}

std::string npy_header(const ArrayView& array) {
  std::visit([&](const auto& values) { require_shape(values.size(), array.shape); }, array.values);
  constexpr const char* types[] = {"<f4", "<i8", "<u8"};  // in the order of the variant
  std::string shape;
  for (const auto size : array.shape) shape += (shape.empty() ? "" : ", ") + std::to_string(size);
  if (array.shape.size() == 1) shape += ',';
  std::string text = "{'descr': '" + std::string(types[array.values.index()]) +
                     "', 'fortran_order': False, 'shape': (" + shape + "), }";
  // The numbers start at a multiple of 64 bytes: magic, version 1.0, length of the text in two bytes, text.
  const std::size_t start = magic.size() + 4;
  text.resize((start + text.size() + 1 + 63) / 64 * 64 - start - 1, ' ');
  text += '\n';
  std::string header(magic);
  for (const std::size_t byte : {std::size_t{1}, std::size_t{0}, text.size() % 256, text.size() / 256}) {
    header += static_cast<char>(byte);
  }
  return header + text;
}

void write_npy(const std::string& file, const ArrayView& array) {
  const std::string header = npy_header(array);
  OutputFile output(file);
  output.write(std::as_bytes(std::span(header)));
  output.write(array_bytes(array));
  output.commit();
}

FloatArray read_npy(const std::string& file) {
  InputFile input(file);
  return read_npy(input.stream, input.size, file);
}

FloatArray read_npy(std::istream& stream, std::uint64_t size, const std::string& file) {
  const auto fail = [&](const std::string& what) { throw Error(ErrorKind::file, file + ": " + what); };

  char start[12] = {};  // magic, version, length of the header in 2 bytes (version 1) or 4
  stream.read(start, sizeof start);
  if (std::string_view(start, magic.size()) != magic) fail("is no .npy file; write one with numpy.save");
  const int version = static_cast<unsigned char>(start[6]);
  if (version < 1 || version > 3) fail("has .npy version " + std::to_string(version) + ", but 1, 2 and 3 are read");
  std::uint64_t length = 0;
  for (int i = version == 1 ? 1 : 3; i >= 0; --i) length = length * 256 + static_cast<unsigned char>(start[8 + i]);
  const std::uint64_t data_start = (version == 1 ? 10 : 12) + length;
  if (data_start > size) {
    fail("is cut short: its header ends at byte " + std::to_string(data_start) + ", but the file has " +
         std::to_string(size) + "; copy or make it again");
  }
  // NumPy's own headers of plain arrays are a few hundred bytes.
  if (length > 65535) fail("has a header of " + std::to_string(length) + " bytes, but at most 65535 are read");
  std::string header(length, '\0');
  stream.seekg(static_cast<std::streamoff>(data_start - length));
  stream.read(header.data(), static_cast<std::streamsize>(length));

  auto fields = dictionary(header);
  if (!fields) fail("has a damaged header; copy or make it again");
  for (const char* name : {"descr", "fortran_order", "shape"}) {
    if (!fields->contains(name)) fail("has no " + std::string(name) + " in its header; copy or make it again");
  }
  std::string& descr = (*fields)["descr"];
  std::replace(descr.begin(), descr.end(), '"', '\'');
  if (descr != "'<f4'") {
    fail("descr = " + descr.substr(0, 60) + " must be '<f4', little-endian float32; save it after .astype('<f4')");
  }
  const std::string& order = (*fields)["fortran_order"];
  if (order != "False") {
    fail("fortran_order = " + order.substr(0, 60) + " must be False; save it after numpy.ascontiguousarray");
  }
  const std::string& shape = (*fields)["shape"];
  const auto sizes = tuple(shape);
  std::int64_t bytes = sizeof(float);
  bool valid = sizes.has_value();
  for (std::size_t i = 0; valid && i < sizes->size(); ++i) {
    valid = (*sizes)[i] >= 0 && !__builtin_mul_overflow(bytes, (*sizes)[i], &bytes);
  }
  if (!valid) fail("shape = " + shape.substr(0, 60) + " must be sizes of 0 or more, fewer than 2^63 bytes in all");
  const std::uint64_t present = size - data_start;
  if (present != static_cast<std::uint64_t>(bytes)) {
    fail("shape = " + shape_text(*sizes) + " needs " + std::to_string(bytes) + " bytes of numbers, but the file has " +
         std::to_string(present) + "; copy or make it again");
  }

  FloatArray array{std::vector<float>(static_cast<std::size_t>(bytes) / sizeof(float)), *sizes};
  stream.read(reinterpret_cast<char*>(array.values.data()), bytes);
  if (!stream) fail("can't be read to its end; copy or make it again");
  return array;
}

}  // namespace onestep
