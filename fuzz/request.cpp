#include "onestep/request_json.hpp"
#include "only_errors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace onestep;
  ModelInfo info;
  info.name = "garments";
  info.label_count = 4;
  info.label_names = {"Bag", "ankle boot", "BAG", "3"};
  const std::string text = as_text(data, size);
  only_errors([&] {
    const std::int64_t label = find_label(text, info);
    if (label < 0 || label >= info.label_count) __builtin_trap();
  });
  only_errors([&] {
    // What is written of a request is read as the same request.
    const std::string once = to_json(request_of_json(text, info), info);
    if (to_json(request_of_json(once, info), info) != once) __builtin_trap();
  });
  return 0;
}
