#pragma once

#include <string>
#include <vector>

namespace onestep {

/// The parts of a model file, a zip archive, that are not what they were when it was written, by the CRC-32 that it
/// holds of each. libtorch reads them without a look at it. Throws Error (model) where the file can't be read.
std::vector<std::string> damaged_parts(const std::string& file);

/// libtorch's reader is recursive and has no bound of its own. Throws Error (model) on code that is nested so deeply
/// that reading it would overrun the stack, and on code and constants of more than 64 MiB.
void require_readable(const std::string& file);

}  // namespace onestep
