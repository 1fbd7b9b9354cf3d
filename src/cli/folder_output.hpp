#pragma once

#include <string>

#include "bulk.hpp"

namespace onestep {

/// Draws a request into a folder, a file of this extension a sample; of runs of more than 10,000 a thousand a folder.
/// Throws Error.
BulkReport draw_into_folder(const BulkTask& task, const std::string& folder, const std::string& extension, int enlarge);

}  // namespace onestep
