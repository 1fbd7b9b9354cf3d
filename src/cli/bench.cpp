#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

#include "arguments.hpp"
#include "commands.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::string model;
  std::vector<std::int64_t> batches{1, 64};
  double seconds = 2;
  int busy = 0;
  SamplerArguments sampler;
  MachineArguments machine;
  bool json = false;
};

/// Threads that compute for others, and want a core each.
std::vector<std::jthread> busy_threads(int count) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([](const std::stop_token& stop) {
      for (volatile std::uint64_t number = 0; !stop.stop_requested();) number = number * 6364136223846793005u + 1;
    });
  }
  return threads;
}

/// The time that a fraction of the calls don't exceed. times: rising.
double percentile(const std::vector<double>& times, double fraction) {
  return times[static_cast<std::size_t>(fraction * static_cast<double>(times.size() - 1) + 0.5)];
}

void run(const Arguments& arguments) {
  if (!(arguments.seconds > 0 && arguments.seconds <= 3600)) {
    throw Error(ErrorKind::usage, "--seconds " + std::to_string(arguments.seconds) + " must lie in (0, 3600]");
  }
  if (arguments.busy < 0 || arguments.busy > 1024) {
    throw Error(ErrorKind::usage, "--busy " + std::to_string(arguments.busy) + " must lie in [0, 1024]");
  }
  const Generator generator = arguments.machine.load(arguments.model, false);
  Request request;
  arguments.sampler.apply_to(request, generator.info());
  for (const std::int64_t batch : arguments.batches) {
    if (batch < 1 || batch > 65536) {
      throw Error(ErrorKind::usage, "--batch " + std::to_string(batch) + " must lie in [1, 65536]");
    }
  }

  Interrupt interrupt;
  const OnProgress on_progress = [&](const Progress&) { interrupt.poll(); };
  std::vector<std::vector<std::string>> table{
      {"batch", "calls", generator.info().data.modality == Modality::image ? "images/s" : "samples/s",
       "ms a batch: fastest", "p50", "p95", "p99", "slowest", "runs"}};
  Json json = Json::array();
  const std::vector<std::jthread> others = busy_threads(arguments.busy);
  for (const std::int64_t batch : arguments.batches) {
    request.batch = batch;
    request.seeds.resize(static_cast<std::size_t>(batch));
    std::iota(request.seeds.begin(), request.seeds.end(), 0);
    // The first calls compile the network for this shape.
    for (int i = 0; i < 2; ++i) generator.generate(request, on_progress, interrupt.token());
    std::vector<double> times;
    Report report;
    for (double spent = 0; spent < arguments.seconds || times.size() < 3; spent += times.back()) {
      report = generator.generate(request, on_progress, interrupt.token()).report;
      if (report.stopped) throw StoppedByUser{"a measurement is whole or not at all"};
      times.push_back(report.seconds);
    }
    std::sort(times.begin(), times.end());
    const double speed = static_cast<double>(batch) * static_cast<double>(times.size()) /
                         std::accumulate(times.begin(), times.end(), 0.0);
    const double median = percentile(times, 0.5), p95 = percentile(times, 0.95), p99 = percentile(times, 0.99);
    const auto milliseconds = [](double seconds) { return fixed(seconds * 1e3, 2); };
    table.push_back({std::to_string(batch), std::to_string(report.nfe), fixed(speed, 1), milliseconds(times.front()),
                     milliseconds(median), milliseconds(p95), milliseconds(p99), milliseconds(times.back()),
                     std::to_string(times.size())});
    json.push_back({{"batch", batch},
                    {"sampler", report.sampler},
                    {"nfe", report.nfe},
                    {"images_per_second", speed},
                    {"median_seconds", median},
                    {"p95_seconds", p95},
                    {"p99_seconds", p99},
                    {"fastest_seconds", times.front()},
                    {"slowest_seconds", times.back()},
                    {"runs", times.size()}});
  }
  if (arguments.json) {
    print_json({{"model", generator.info().name},
                {"device", arguments.machine.device},
                {"precision", name_of(generator.precision().precision)},
                {"busy", arguments.busy},
                {"results", json}});
  } else {
    print_table(table);
  }
}

}  // namespace

void add_bench(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("bench", "Measure a model's throughput and latency on this machine");
  command->add_option("model", arguments->model, "a model file, or the name of a shipped model")
      ->required()
      ->type_name("MODEL");
  command->add_option("--batch", arguments->batches, "batch sizes, each 1 to 65536 (default: 1,64)")->delimiter(',');
  command->add_option("--seconds", arguments->seconds, "time spent on each batch size, above 0 (default: 2)");
  command->add_option("--busy", arguments->busy, "threads that compute beside it, 0 to 1024 (default: 0)");
  command->add_flag("--json", arguments->json, "the table on standard output, as JSON");
  arguments->sampler.add_to(*command);
  arguments->machine.add_to(*command);
  command->footer(
      "Examples:\n  onestep bench fashion-teacher --sampler heun --steps 40 --batch 1,8,64\n"
      "  onestep bench fashion --batch 1 --busy 2");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace onestep
