#include "bounded_json.hpp"

#include "require.hpp"

namespace onestep {

nlohmann::ordered_json parse_request(const std::string& json) {
  using Json = nlohmann::ordered_json;
  constexpr std::size_t most_bytes = 16 << 20;
  constexpr int deepest = 8;
  if (json.size() > most_bytes) {
    refuse("the request has " + std::to_string(json.size()) + " bytes; at most " + std::to_string(most_bytes) +
           " are read");
  }
  bool deep = false;
  try {
    Json root = Json::parse(json, [&](int depth, Json::parse_event_t, Json&) {
      deep |= depth > deepest;
      return !deep;
    });
    if (!deep) {
      if (root.is_object()) return root;
      const std::string text = root.dump(-1, ' ', false, Json::error_handler_t::replace);
      refuse("the request = " + (text.size() > 60 ? text.substr(0, 57) + "..." : text) + " must be an object");
    }
  } catch (const Json::exception& error) {
    refuse(std::string("the request is not valid JSON: ") + error.what());
  }
  refuse("the request nests deeper than " + std::to_string(deepest) + " levels");
}

}  // namespace onestep
