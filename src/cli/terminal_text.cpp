// Of terminal.hpp what needs no generator: text as it may be shown. What is fuzzed has it without the library.
#include <array>
#include <cstdint>
#include <cstdio>

#include "terminal.hpp"

namespace onestep {
namespace {

/// What can turn a terminal's state or the order of its text: DEL, the C1 controls, separators of lines and marks of
/// direction. JSON leaves them as they are.
bool is_control(std::uint32_t character) {
  return (character >= 0x7f && character < 0xa0) || character == 0x200e || character == 0x200f ||
         (character >= 0x2028 && character <= 0x202e) || (character >= 0x2066 && character <= 0x2069);
}

}  // namespace

std::string json_text(const nlohmann::ordered_json& json, int indent) {
  const std::string utf8 = json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  std::string text;
  for (std::size_t i = 0; i < utf8.size();) {
    const auto lead = static_cast<unsigned char>(utf8[i]);
    const std::size_t bytes = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    std::uint32_t character = bytes == 1 ? lead : lead & (0x7fU >> bytes);
    for (std::size_t k = 1; k < bytes; ++k) character = character << 6 | (utf8[i + k] & 0x3f);
    if (is_control(character)) {
      std::array<char, 8> escape;
      std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(character));
      text += escape.data();
    } else {
      text.append(utf8, i, bytes);
    }
    i += bytes;
  }
  return text;
}

std::string shown(const std::string& text) {
  const std::string json = json_text(text);
  std::string line;
  // Without the quotes about it, and with quotes and backslashes as they are.
  for (std::size_t i = 1; i + 1 < json.size(); ++i) {
    if (json[i] == '\\' && (json[i + 1] == '"' || json[i + 1] == '\\')) ++i;
    line += json[i];
  }
  return line;
}

}  // namespace onestep
