#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace onestep {

/// An object that a stranger sent: at most 16 MiB that nest at most 8 deep, which is looked at before it takes memory
/// or stack. Throws Error (usage).
nlohmann::ordered_json parse_request(const std::string& json);

}  // namespace onestep
