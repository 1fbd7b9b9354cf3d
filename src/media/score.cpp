#include "onestep/score.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace onestep {
namespace {

using Profile = std::array<double, 12>;

// How well each pitch class fits a key whose tonic is the first (Krumhansl & Kessler 1982).
constexpr Profile major{6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88};
constexpr Profile minor{6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17};

/// The correlation of the durations with a profile, but for what all keys share.
double likeness(const Profile& durations, const Profile& profile, int tonic) {
  double mean = 0, sum = 0, squares = 0;
  for (const double p : profile) mean += p / 12;
  for (int i = 0; i < 12; ++i) {
    const double p = profile[static_cast<std::size_t>(i)] - mean;
    sum += durations[static_cast<std::size_t>((i + tonic) % 12)] * p;
    squares += p * p;
  }
  return sum / std::sqrt(squares);
}

}  // namespace

std::int64_t bars_of(const Score& score) {
  std::int64_t end = 0;
  for (const Note& note : score.notes) end = std::max(end, note.start + note.length);
  return (end + sixteenths_a_bar - 1) / sixteenths_a_bar;
}

std::optional<std::int64_t> key_of(const Score& score) {
  if (score.notes.empty()) return {};
  Profile durations{};
  for (const Note& note : score.notes)
    durations[static_cast<std::size_t>(note.pitch % 12)] += static_cast<double>(note.length);
  std::array<double, 24> likenesses{};
  for (int tonic = 0; tonic < 12; ++tonic) {
    likenesses[static_cast<std::size_t>(tonic)] = likeness(durations, major, tonic);
    likenesses[static_cast<std::size_t>(12 + tonic)] = likeness(durations, minor, tonic);
  }
  return std::max_element(likenesses.begin(), likenesses.end()) - likenesses.begin();
}

}  // namespace onestep
