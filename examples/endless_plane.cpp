// Four threads walk over an endless plane and look at what is around them, as the players of a game would: each asks
// for the part that it sees, wherever that is, and what two of them see is the same. Usage: endless_plane [MODEL
// [STEPS]]
#include <cstdlib>
#include <iostream>
#include <map>
#include <mutex>
#include <onestep/canvas.hpp>
#include <thread>
#include <vector>

int main(int argc, char** argv) {
  const auto generator = onestep::Generator::load(argc > 1 ? argv[1] : "fashion");
  const int steps = argc > 2 ? std::atoi(argv[2]) : 10;
  onestep::Request request;
  request.seeds = {1};
  const onestep::Canvas canvas(generator, request, {.cache_bytes = 64 << 20});

  constexpr std::int64_t sight = 32;  // pixels
  std::mutex mutex;
  std::map<std::pair<std::int64_t, std::int64_t>, std::vector<float>> seen;  // by place
  std::size_t again = 0;
  bool same = true;
  const auto walk = [&](std::int64_t right, std::int64_t down) {
    for (int step = 0; step < steps; ++step) {
      const std::int64_t x = right * step * sight / 2, y = down * step * sight / 2;
      const onestep::Region region = canvas.region({x, y, sight, sight});
      const std::lock_guard lock(mutex);
      const auto [place, is_new] = seen.emplace(std::pair(x, y), region.values);
      again += !is_new;
      same = same && place->second == region.values;
    }
  };
  {
    std::vector<std::jthread> walkers;
    for (const auto& [right, down] : {std::pair(1, 0), std::pair(0, 1), std::pair(-1, -1), std::pair(1, 0)})
      walkers.emplace_back(walk, right, down);
  }
  std::cout << seen.size() << " places seen, " << again << " of them again: " << (same ? "the same" : "DIFFERENT")
            << '\n';
  return same ? 0 : 1;
}
