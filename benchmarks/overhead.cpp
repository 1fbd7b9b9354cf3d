// What the sampler adds to its network calls: Generator::generate against a bare loop of the same calls, interleaved.
// Usage: overhead [--json]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <numeric>

#include "onestep/generator.hpp"
#include "onestep/tensor/model.hpp"

namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double bare_loop(onestep::Network& network, std::int64_t batch, std::int64_t calls) {
  const c10::InferenceMode guard;
  const auto start = std::chrono::steady_clock::now();
  torch::Tensor x = torch::randn({batch, 1, 28, 28});
  for (std::int64_t i = 0; i < calls; ++i) {
    x = network.forward({x, {torch::zeros({batch}), torch::zeros({batch}, torch::kLong)}});
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  const bool json = argc > 1 && std::strcmp(argv[1], "--json") == 0;
  std::vector<std::string> rows;
  for (const std::string model : {"fashion", "fashion-teacher"}) {
    const auto generator = onestep::Generator::load(model);
    const onestep::Model bare_model = onestep::load_model(model);
    for (const std::int64_t batch : {1, 64}) {
      onestep::Request request;
      request.batch = batch;
      request.seeds.resize(static_cast<std::size_t>(batch));
      std::iota(request.seeds.begin(), request.seeds.end(), 0);
      const std::int64_t calls = generator.plan(request).nfe;
      std::vector<double> sampler, bare;
      const int runs = batch == 1 || calls == 1 ? 31 : 5;
      // Short runs in a row, as a program makes them: the other network has thrown this one's weights out of the cache.
      const int row = batch == 1 && calls == 1 ? 10 : 1;
      for (int run = -3; run < runs; ++run) {  // the first three warm up
        for (int i = 0; i < row; ++i) {
          const double seconds = generator.generate(request).report.seconds;
          if (run >= 0) sampler.push_back(seconds);
        }
        for (int i = 0; i < row; ++i) {
          const double seconds = bare_loop(*bare_model.network, batch, calls);
          if (run >= 0) bare.push_back(seconds);
        }
      }
      const double a = 1e3 * median(sampler), b = 1e3 * median(bare);
      char text[200];
      const char* format =
          json ? R"({"model": "%s", "batch": %ld, "nfe": %ld, "sampler_ms": %.3f, "bare_ms": %.3f, "ratio": %.3f})"
               : "| %s | %ld | %ld | %.2f | %.2f | %.2f |";
      std::snprintf(text, sizeof text, format, model.c_str(), batch, calls, a, b, a / b);
      rows.emplace_back(text);
    }
  }
  if (!json) {
    std::puts("| model | batch | NFE | sampler, ms | bare loop, ms | ratio |\n| --- | --- | --- | --- | --- | --- |");
    for (const std::string& row : rows) std::puts(row.c_str());
    return 0;
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::printf("%s%s%s", i == 0 ? "[" : ",\n ", rows[i].c_str(), i + 1 == rows.size() ? "]\n" : "");
  }
}
