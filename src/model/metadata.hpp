#pragma once

#include <string>

#include "onestep/model_info.hpp"

namespace onestep {

constexpr std::size_t most_metadata_bytes = 16 << 20;  ///< A thousand times what models have.

/// Reads the text of a model's onestep.json. Throws Error (model), whose message names the file, the field, the value
/// and the rule. `file` is used in messages only.
ModelInfo parse_metadata(const std::string& json, const std::string& file);

}  // namespace onestep
