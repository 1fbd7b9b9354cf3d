// Callers on one Generator and one Canvas for some minutes: every result is that of a caller alone, whatever the others
// do, and memory stays where it is. One request in eight is stopped at a random moment. Exit code 1: something
// differed. Usage: soak MODEL MINUTES [CALLERS]
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "onestep/canvas.hpp"
#include "onestep/generator.hpp"

namespace {

using Clock = std::chrono::steady_clock;

constexpr int cases = 24;
constexpr std::int64_t side = 96;  // of a region

double resident_megabytes() {
  std::ifstream file("/proc/self/statm");
  long pages = 0;
  file >> pages >> pages;
  return static_cast<double>(pages) * 4096 / 1e6;
}

onestep::Request request_of(int number) {
  onestep::Request request;
  for (int i = 0; i <= number % 5; ++i) request.seeds.push_back(static_cast<std::uint64_t>(100 * number + i));
  request.batch = 1 + number % 3;
  request.sampler = onestep::ConsistencySampler{.levels = {.steps = 1 + number % 2}};
  return request;
}

onestep::Rectangle place_of(int number) { return {37 * number - 300, 5000 - 91 * number, side, side}; }

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) return 2;
  const double minutes = std::atof(argv[2]);
  const int callers = argc > 3 ? std::atoi(argv[3]) : 8;
  const auto generator = onestep::Generator::load(argv[1]);
  onestep::Request plane;
  plane.seeds = {7};
  // Few tiles are kept, so that many are drawn again.
  const onestep::Canvas canvas(generator, plane, {.cache_bytes = 1 << 20});

  std::vector<std::vector<onestep::Sample>> samples;
  std::vector<std::vector<float>> regions;
  for (int i = 0; i < cases; ++i) {
    samples.push_back(generator.generate(request_of(i)).samples);
    regions.push_back(canvas.region(place_of(i)).values);
  }

  std::atomic<long> drawn{0}, stopped{0}, differed{0};
  std::atomic<bool> over{false};
  std::vector<std::jthread> threads;
  for (int caller = 0; caller < callers; ++caller) {
    threads.emplace_back([&, caller] {
      std::mt19937 random(static_cast<unsigned>(caller));
      while (!over) {
        const int i = static_cast<int>(random() % cases);
        std::stop_source stop;
        const unsigned stops_at = random() % 8 == 0 ? 1 + random() % 4 : 0;
        unsigned calls = 0;
        const onestep::OnProgress on_progress = [&](const onestep::Progress&) {
          if (++calls == stops_at) stop.request_stop();
        };
        bool same = true, whole = true;
        if (random() % 2) {
          const onestep::Result result = generator.generate(request_of(i), on_progress, stop.get_token());
          whole = !result.report.stopped;
          // What was finished is right, whole or not.
          for (std::size_t s = 0; s < result.samples.size(); ++s)
            same &= result.samples[s].values == samples[i][s].values;
          same &= !whole || result.samples.size() == samples[i].size();
        } else {
          const onestep::Region region = canvas.region(place_of(i), on_progress, stop.get_token());
          whole = !region.stopped;
          same = !whole || region.values == regions[i];
        }
        ++(whole ? drawn : stopped);
        if (!same) ++differed;
      }
    });
  }
  std::puts("| minutes | results | stopped | differed | resident, MB |\n| --- | --- | --- | --- | --- |");
  const auto started = Clock::now();
  for (int report = 1; report <= 10; ++report) {
    std::this_thread::sleep_until(
        started + report * std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(minutes * 6)));
    std::printf("| %.1f | %ld | %ld | %ld | %.0f |\n", report * minutes / 10, drawn.load(), stopped.load(),
                differed.load(), resident_megabytes());
    std::fflush(stdout);
  }
  over = true;
  threads.clear();
  return differed == 0 ? 0 : 1;
} catch (const onestep::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
