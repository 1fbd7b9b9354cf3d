#include "grammar.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "require.hpp"

namespace onestep {
namespace {

void require_count(std::uint64_t count) {
  if (count >= 1 && count <= static_cast<std::uint64_t>(most_samples)) return;
  refuse(std::to_string(count) + " samples: the count must lie in [1, " + std::to_string(most_samples) +
         "]; for more, run several commands with --seeds");
}

}  // namespace

std::optional<std::uint64_t> parse_whole(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::pair<std::int64_t, std::int64_t> parse_extent(const std::string& text, const std::string& name) {
  const std::size_t cross = std::min(text.find('x'), text.size());
  const auto width = parse_whole(text.substr(0, cross));
  const auto height = parse_whole(text.substr(std::min(cross + 1, text.size())));
  constexpr std::uint64_t most = std::numeric_limits<std::int32_t>::max();
  if (!width || !height || *width < 1 || *height < 1 || *width > most || *height > most)
    refuse(name + " " + text + " must be WIDTHxHEIGHT, each in [1, 2147483647], such as 640x480");
  return {static_cast<std::int64_t>(*width), static_cast<std::int64_t>(*height)};
}

std::vector<std::uint64_t> parse_seeds(const std::string& text) {
  std::vector<std::uint64_t> seeds;
  std::size_t start = 0;
  while (start <= text.size()) {
    const std::size_t comma = std::min(text.find(',', start), text.size());
    const std::string part = text.substr(start, comma - start);
    const std::size_t dash = part.find('-');
    const auto first = parse_whole(part.substr(0, dash));
    const auto last = dash == std::string::npos ? first : parse_whole(part.substr(dash + 1));
    if (!first || !last) refuse("--seeds " + text + ": '" + part + "' is neither a seed nor a range such as 0-63");
    if (*last < *first) {
      refuse("--seeds " + text + ": the range " + part + " falls; write " + std::to_string(*last) + "-" +
             std::to_string(*first));
    }
    if (*last - *first >= static_cast<std::uint64_t>(most_samples)) require_count(most_samples + 1);
    require_count(seeds.size() + (*last - *first) + 1);
    for (std::uint64_t i = 0; i <= *last - *first; ++i) seeds.push_back(*first + i);
    start = comma + 1;
  }
  return seeds;
}

std::vector<std::uint64_t> choose_seeds(const std::string& text, std::optional<std::int64_t> count,
                                        std::int64_t otherwise) {
  if (count && *count < 0) refuse("--count " + std::to_string(*count) + " must be 1 or more");
  if (count) require_count(static_cast<std::uint64_t>(*count));
  std::vector<std::uint64_t> seeds;
  if (!text.empty()) {
    seeds = parse_seeds(text);
    if (count && *count != static_cast<std::int64_t>(seeds.size())) {
      refuse("--count " + std::to_string(*count) + " and --seeds " + text + ", which are " +
             std::to_string(seeds.size()) + ", disagree; give one of them");
    }
    return seeds;
  }
  for (std::int64_t i = 0; i < count.value_or(otherwise); ++i) seeds.push_back(static_cast<std::uint64_t>(i));
  return seeds;
}

}  // namespace onestep
