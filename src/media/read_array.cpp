#include <zip.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <optional>

#include "array_file.hpp"
#include "input_file.hpp"
#include "onestep/error.hpp"
#include "values.hpp"

namespace onestep {
namespace {

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

struct TypeName {
  ArrayType type;
  const char *descr, *description;
  std::int64_t size;
};
constexpr TypeName type_names[] = {{ArrayType::float32, "'<f4'", "little-endian float32", 4},
                                   {ArrayType::float64, "'<f8'", "little-endian float64", 8},
                                   {ArrayType::uint8, "'|u1'", "bytes", 1},
                                   {ArrayType::int64, "'<i8'", "little-endian int64", 8},
                                   {ArrayType::int32, "'<i4'", "little-endian int32", 4}};

const TypeName& name_of(ArrayType type) {
  return *std::find_if(std::begin(type_names), std::end(type_names), [&](const TypeName& n) { return n.type == type; });
}

using Archive = std::shared_ptr<zip_t>;

Archive open_archive(const std::string& file) {
  { const InputFile exists(file); }
  int code = 0;
  Archive zip(zip_open(file.c_str(), ZIP_RDONLY, &code), [](zip_t* opened) {
    if (opened) zip_discard(opened);
  });
  if (!zip) throw Error(ErrorKind::file, file + ": is no .npz file, or is damaged; write one with numpy.savez");
  return zip;
}

}  // namespace

std::vector<std::string> arrays_of(const std::string& file) {
  const Archive zip = open_archive(file);
  std::vector<std::string> names;
  for (zip_int64_t i = 0; i < zip_get_num_entries(zip.get(), 0); ++i) {
    const char* entry = zip_get_name(zip.get(), i, 0);
    const std::string name = entry ? entry : "";
    if (name.ends_with(".npy")) names.push_back(name.substr(0, name.size() - 4));
  }
  return names;
}

std::string comment_of(const std::string& file) {
  const Archive zip = open_archive(file);
  int size = 0;
  const char* text = zip_get_archive_comment(zip.get(), &size, ZIP_FL_ENC_RAW);
  return text ? std::string(text, static_cast<std::size_t>(size)) : "";
}

ArrayFile::ArrayFile(const std::string& file, const std::vector<ArrayType>& types) : name_(file) {
  const auto input = std::make_shared<InputFile>(file);
  source_ = [input](char* to, std::size_t size) {
    input->stream.read(to, static_cast<std::streamsize>(size));
    return static_cast<std::size_t>(input->stream.gcount());
  };
  read_header(input->size, types);
}

ArrayFile::ArrayFile(const std::string& file, const std::string& name, const std::vector<ArrayType>& types)
    : name_(file + ": " + name + ".npy") {
  const auto fail = [&](const std::string& what) { throw Error(ErrorKind::file, file + ": " + what); };
  const Archive zip = open_archive(file);
  const std::string entry = name + ".npy";
  zip_stat_t about;
  if (zip_stat(zip.get(), entry.c_str(), 0, &about) != 0 || !(about.valid & ZIP_STAT_SIZE)) {
    std::string names;
    for (zip_int64_t i = 0; i < std::min<zip_int64_t>(zip_get_num_entries(zip.get(), 0), 20); ++i) {
      const char* present = zip_get_name(zip.get(), i, 0);
      if (present) names += (names.empty() ? "" : ", ") + std::string(present);
    }
    fail("has no array " + name + "; it has " + (names.empty() ? "none" : names));
  }
  const auto damaged = [name = name_] {
    throw Error(ErrorKind::file, name + ": is damaged; copy or make the file again");
  };
  const std::shared_ptr<zip_file_t> opened(zip_fopen(zip.get(), entry.c_str(), 0), [zip](zip_file_t* stream) {
    if (stream) zip_fclose(stream);
  });
  if (!opened) damaged();
  source_ = [opened, damaged](char* to, std::size_t size) {
    std::size_t filled = 0;
    while (filled < size) {
      const zip_int64_t read = zip_fread(opened.get(), to + filled, size - filled);
      if (read < 0) damaged();
      if (read == 0) break;
      filled += static_cast<std::size_t>(read);
    }
    return filled;
  };
  read_header(about.size, types);
}

void ArrayFile::read_header(std::uint64_t size, const std::vector<ArrayType>& types) {
  const auto fail = [&](const std::string& what) { throw Error(ErrorKind::file, name_ + ": " + what); };

  constexpr std::string_view magic = "\x93NUMPY";
  char start[12] = {};  // magic, version, length of the header in 2 bytes (version 1) or 4
  source_(start, 8);
  if (std::string_view(start, magic.size()) != magic) fail("is no .npy file; write one with numpy.save");
  const int version = static_cast<unsigned char>(start[6]);
  if (version < 1 || version > 3) fail("has .npy version " + std::to_string(version) + ", but 1, 2 and 3 are read");
  source_(start + 8, version == 1 ? 2 : 4);
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
  if (source_(header.data(), header.size()) != header.size()) fail("has a damaged header; copy or make it again");

  auto fields = dictionary(header);
  if (!fields) fail("has a damaged header; copy or make it again");
  for (const char* name : {"descr", "fortran_order", "shape"}) {
    if (!fields->contains(name)) fail("has no " + std::string(name) + " in its header; copy or make it again");
  }
  std::string& descr = (*fields)["descr"];
  std::replace(descr.begin(), descr.end(), '"', '\'');
  bool known = false;
  for (const ArrayType type : types) {
    if (descr != name_of(type).descr) continue;
    type_ = type;
    known = true;
  }
  if (!known) {
    std::string wanted;
    for (const ArrayType type : types)
      wanted += (wanted.empty() ? "" : " or ") + std::string(name_of(type).descr) + ", " + name_of(type).description;
    fail("descr = " + descr.substr(0, 60) + " must be " + wanted + "; save it after .astype(" +
         name_of(types.front()).descr + ")");
  }
  const std::string& order = (*fields)["fortran_order"];
  if (order != "False") {
    fail("fortran_order = " + order.substr(0, 60) + " must be False; save it after numpy.ascontiguousarray");
  }
  const std::string& shape = (*fields)["shape"];
  const auto sizes = tuple(shape);
  std::int64_t bytes = name_of(type_).size;
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

  shape_ = *sizes;
  left_ = present;
}

void ArrayFile::read_bytes(std::span<std::byte> bytes) {
  const std::size_t read = bytes.size() <= left_ ? source_(reinterpret_cast<char*>(bytes.data()), bytes.size()) : 0;
  left_ -= read;
  // At the end of a .npz its checksum is looked at.
  char further;
  if (read != bytes.size() || (left_ == 0 && source_(&further, 1) != 0)) {
    throw Error(ErrorKind::file, name_ + ": can't be read to its end; copy or make it again");
  }
}

FloatArray read_npy(const std::string& file) {
  ArrayFile array(file);
  std::int64_t count = 1;
  for (const std::int64_t size : array.shape()) count *= size;
  FloatArray all{std::vector<float>(static_cast<std::size_t>(count)), array.shape()};
  array.read(std::span(all.values));
  return all;
}

void require_finite(std::span<const float> values, std::size_t sample_size, const std::string& file,
                    std::size_t first) {
  const auto bad = std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  if (bad == values.end()) return;
  const std::size_t sample = first + static_cast<std::size_t>(bad - values.begin()) / sample_size;
  throw Error(ErrorKind::file, file + ": sample " + std::to_string(sample) + " holds " +
                                   (std::isnan(*bad) ? "NaN" : "infinity") +
                                   "; all values must be finite: leave it out, or make it again");
}

}  // namespace onestep
