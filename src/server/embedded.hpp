#pragma once

#include <string_view>
#include <vector>

namespace onestep {

/// A file of src/server/page, or openapi.json, that the build put into the program.
struct EmbeddedFile {
  std::string_view name, content;
};

const std::vector<EmbeddedFile>& embedded_files();

}  // namespace onestep
