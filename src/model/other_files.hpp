#pragma once

#include <string>

namespace onestep {

/// What a file is that people take for a model file, and what to do with it, such as "a safetensors file, ...". Empty
/// for a file of no known kind, and for one that can't be read. Looks at the beginning alone and runs nothing.
std::string other_kind_of_file(const std::string& file);

}  // namespace onestep
