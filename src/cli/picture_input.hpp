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
  std::vector<bool> there;    ///< [H, W]: at least half opaque, and no padding. All of it where opacity is a channel.
  int width = 0, height = 0;  ///< Of the file.
};

/// A mask as large as a model's picture.
struct InputMask {
  std::vector<bool> drawn;    ///< [H, W]: white, rather than black.
  int width = 0, height = 0;  ///< Of the file.
};

/// How pictures of another size are made to fit: --fit.
class PictureInput {
 public:
  PictureInput() = default;
  explicit PictureInput(Fit fit) : fit_(fit) {}
  void add_to(CLI::App& command);

  /// A picture of the model's channels, of shape [C, H, W]; `name` is for messages. Throws Error (file).
  InputSample read(const PictureValues& picture, const std::string& name, const std::vector<std::int64_t>& shape,
                   const ModelInfo& info) const;

  /// A mask for pictures of shape [C, H, W]. Throws Error (file), also where the mask is in colour.
  InputMask read_mask(const PictureValues& picture, const std::string& name,
                      const std::vector<std::int64_t>& shape) const;

 private:
  /// `picture` as large as the model's.
  PictureValues fitted(PictureValues picture, const std::string& file, const std::vector<std::int64_t>& shape) const;

  std::optional<Fit> fit_;
};

}  // namespace onestep
