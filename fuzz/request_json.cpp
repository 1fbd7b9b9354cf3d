// A request as JSON: what was read of it is written, and reads the same again.
#include "onestep/request_json.hpp"

#include "only_errors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace onestep;
  static const ModelInfo info = [] {
    ModelInfo made;
    made.label_count = 3;
    made.label_names = {"Bag", "Coat", "coat"};
    return made;
  }();
  std::string json;
  only_errors([&] {
    const Request request = request_of_json(as_text(data, size), info);
    if (request.seeds.size() > 10'000'000) __builtin_trap();
    // What `count` spells in a few bytes is written in many.
    if (request.seeds.size() <= 1000) json = to_json(request, info);
  });
  if (!json.empty() && to_json(request_of_json(json, info), info) != json) __builtin_trap();
  return 0;
}
