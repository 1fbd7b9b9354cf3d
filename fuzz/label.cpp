// A label by its name or number, of models with and without names.
#include "onestep/request_json.hpp"
#include "only_errors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace onestep;
  static const std::vector<ModelInfo> models = [] {
    std::vector<ModelInfo> made(3);
    made[1].label_count = 1000;
    made[2].label_count = 5;
    made[2].label_names = {"Bag", "Coat", "coat", "\xc3\x84rmel", "7"};
    return made;
  }();
  for (const ModelInfo& info : models) {
    only_errors([&] {
      const std::int64_t label = find_label(as_text(data, size), info);
      if (label < 0 || label >= info.label_count) __builtin_trap();
    });
  }
  return 0;
}
