#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "onestep/model_info.hpp"
#include "picture_file.hpp"

namespace onestep {

/// A picture as a model sees it.
struct InputSample {
  std::vector<float> values;  ///< [C, H, W] in the model's range.
  std::vector<bool> there;    ///< [H, W]: at least half opaque, and no padding.
  int width = 0, height = 0;  ///< Of the file.
};

/// How pictures of another size are made to fit: --fit.
class PictureInput {
 public:
  void add_to(CLI::App& command);

  /// A picture of the model's channels, of shape [C, H, W]. Throws Error (file).
  InputSample read(const std::string& file, const std::vector<std::int64_t>& shape, const ModelInfo& info) const;

 private:
  std::optional<Fit> fit_;
};

}  // namespace onestep
