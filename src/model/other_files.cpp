#include "other_files.hpp"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <fstream>

namespace onestep {
namespace {

/// The first and the last bytes of a file: a zip archive names what it holds at its end.
struct Ends {
  std::string first, last;
};

Ends read_ends(const std::string& file) {
  constexpr std::streamoff bytes = 1 << 16;
  std::ifstream stream(file, std::ios::binary);
  Ends ends{std::string(bytes, '\0'), std::string(bytes, '\0')};
  const auto fill = [&](std::string& text) {
    stream.read(text.data(), bytes);
    text.resize(static_cast<std::size_t>(std::max<std::streamsize>(stream.gcount(), 0)));
    stream.clear();
  };
  fill(ends.first);
  stream.seekg(0, std::ios::end);
  stream.seekg(std::max<std::streamoff>(stream.tellg() - bytes, 0));
  fill(ends.last);
  return ends;
}

/// The length of a header of JSON, in 8 bytes, and the header.
bool is_safetensors(const std::string& first) {
  if (first.size() < 9 || first[8] != '{') return false;
  std::uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(first[static_cast<std::size_t>(i)]);
  return length < 100'000'000;  // the format's own limit
}

/// A message of Protocol Buffers whose field 1 is a small number, the version, before a field of ONNX's ModelProto: the
/// producer and its version, the graph or the operator sets.
bool is_onnx(const std::string& first) {
  return first.size() > 3 && first[0] == 0x08 && first[1] > 0 && first[1] < 32 &&
         std::string("\x12\x1a\x3a\x42").find(first[2]) != std::string::npos;
}

bool is_web_page(std::string first) {
  first.erase(0, first.find_first_not_of(" \t\r\n"));
  first.resize(std::min<std::size_t>(first.size(), 14));
  std::transform(first.begin(), first.end(), first.begin(), [](unsigned char c) { return std::tolower(c); });
  return first.starts_with("<!doctype html") || first.starts_with("<html");
}

}  // namespace

std::string other_kind_of_file(const std::string& file) {
  const auto [first, last] = read_ends(file);
  const auto holds = [&first = first, &last = last](const char* name) {
    return first.starts_with("PK") && last.find(name) != std::string::npos;
  };
  const std::string export_it = "; write a model file of it with models/export.py";
  if (first.starts_with("version https://git-lfs")) {
    return "a Git LFS pointer, which stands for a file that was not fetched; git lfs pull fetches it";
  }
  if (is_web_page(first)) return "a web page, such as a server sends in place of a file; download the file itself";
  if (is_safetensors(first)) return "a safetensors file, which holds weights without their network" + export_it;
  if (is_onnx(first)) return "an ONNX file; onestep runs TorchScript: export the network from PyTorch" + export_it;
  if (holds("archive_format") || holds("serialized_exported_program")) {
    return "a program of torch.export; onestep runs TorchScript: trace the network" + export_it;
  }
  if (holds(".npy")) return "a NumPy archive, which holds arrays and no network" + export_it;
  if (first.starts_with("\x80\x02") || first.starts_with("\x80\x03") || first.starts_with("\x80\x04")) {
    return "a Python pickle, which holds weights or objects of Python" + export_it;
  }
  if (first.starts_with("GGUF")) return "a GGUF file, which holds weights without their network" + export_it;
  if (first.starts_with("\x1f\x8b")) return "compressed by gzip; unpack it first";
  return "";
}

}  // namespace onestep
