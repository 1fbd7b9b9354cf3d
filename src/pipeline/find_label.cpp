#include <algorithm>
#include <cctype>
#include <charconv>

#include "onestep/request_json.hpp"
#include "require.hpp"

namespace onestep {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

}  // namespace

std::int64_t find_label(const std::string& label, const ModelInfo& info) {
  if (info.label_count == 0) refuse("label " + label + ": " + info.name + " has no labels");
  // The exact name counts before one in other letters.
  for (const bool exactly : {true, false}) {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < info.label_names.size(); ++i) {
      const std::string& name = info.label_names[i];
      if (exactly ? name == label : lower(name) == lower(label)) found.push_back(i);
    }
    if (found.size() == 1) return static_cast<std::int64_t>(found.front());
    if (found.empty()) continue;
    std::string indices;
    for (const std::size_t i : found) indices += (indices.empty() ? "" : ", ") + std::to_string(i);
    refuse("label " + label + " is the name of several labels of " + info.name + ": " + indices +
           "; give the index of one");
  }
  std::uint64_t index = 0;
  const auto [end, error] = std::from_chars(label.data(), label.data() + label.size(), index);
  if (!label.empty() && error == std::errc{} && end == label.data() + label.size() &&
      index < static_cast<std::uint64_t>(info.label_count))
    return static_cast<std::int64_t>(index);
  std::string names;
  for (std::size_t i = 0; i < info.label_names.size() && i < 50; ++i) names += (i ? ", " : "") + info.label_names[i];
  refuse("unknown label " + label + "; " + info.name + " has 0 to " + std::to_string(info.label_count - 1) +
         (names.empty() ? "" : ", by name " + names));
}

std::optional<std::string> name_of_label(std::int64_t label, const ModelInfo& info) {
  const auto i = static_cast<std::size_t>(label);
  if (label < 0 || i >= info.label_names.size()) return {};
  const std::string& name = info.label_names[i];
  if (std::count(info.label_names.begin(), info.label_names.end(), name) > 1) return {};
  return name;
}

}  // namespace onestep
