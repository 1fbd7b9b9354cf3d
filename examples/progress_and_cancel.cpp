// Shows progress and stops after a time limit; what was finished is kept. Usage: progress_and_cancel [MODEL [SECONDS]]
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <onestep/generator.hpp>
#include <thread>

int main(int argc, char** argv) try {
  const auto generator = onestep::Generator::load(argc > 1 ? argv[1] : "fashion");
  const double seconds = argc > 2 ? std::atof(argv[2]) : 1.0;

  onestep::Request request;
  request.batch = 4;
  for (std::uint64_t seed = 0; seed < 100'000; ++seed) request.seeds.push_back(seed);

  std::stop_source stop;
  const std::jthread timer([&](std::stop_token ended) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (!ended.stop_requested() && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    stop.request_stop();
  });
  const auto show = [](const onestep::Progress& progress) {
    std::cerr << '\r' << progress.samples_done << " of " << progress.samples << " samples";
  };

  const onestep::Result result = generator.generate(request, show, stop.get_token());
  std::cout << "\nstopped: " << std::boolalpha << result.report.stopped << ", kept: " << result.samples.size() << '\n';
  return result.report.stopped && !result.samples.empty() ? 0 : 1;
} catch (const onestep::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
