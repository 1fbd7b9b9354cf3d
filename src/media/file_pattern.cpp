#include "file_pattern.hpp"

#include <regex>

#include "onestep/error.hpp"

namespace onestep {

bool is_file_pattern(const std::string& path) { return path.find_first_of("{}") != path.npos; }

std::string file_of_seed(const std::string& pattern, std::uint64_t seed) {
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorKind::usage, "the file name pattern " + pattern + " " + what + "; write {seed} or {seed:06d}");
  };
  static const std::regex field("\\{seed(:(0?)([1-9]|1[0-9]|20)?d?)?\\}");
  std::string name;
  bool has_seed = false;
  for (std::size_t at = 0; at < pattern.size();) {
    const std::string two = pattern.substr(at, 2);
    if (two == "{{" || two == "}}") {
      name += two[0];
      at += 2;
    } else if (pattern[at] == '}') {
      fail("has a } without its {");
    } else if (pattern[at] == '{') {
      const std::size_t end = pattern.find('}', at);
      if (end == pattern.npos) fail("has a { without its }");
      const std::string text = pattern.substr(at, end + 1 - at);
      std::smatch match;
      if (!std::regex_match(text, match, field)) fail("holds " + text + ", which is no known field");
      const std::string digits = std::to_string(seed);
      const std::size_t width = match[3].length() > 0 ? std::stoul(match[3]) : 0;
      if (digits.size() < width) name.append(width - digits.size(), match[2].length() > 0 ? '0' : ' ');
      name += digits;
      has_seed = true;
      at = end + 1;
    } else {
      name += pattern[at++];
    }
  }
  if (!has_seed) fail("holds no seed, so that all samples would get one name");
  return name;
}

}  // namespace onestep
