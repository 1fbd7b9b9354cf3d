#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "onestep/model_info.hpp"
#include "picture_file.hpp"
#include "sound_file.hpp"

namespace onestep {

/// A picture or a sound as a model sees it.
struct InputSample {
  std::vector<float> values;  ///< [C, H, W] or [C, L] in the model's range.
  /// [H, W]: at least half opaque, and no padding. All of it where opacity is a channel. [L]: no padding.
  std::vector<bool> there;
  int width = 0, height = 0;  ///< Of the picture's file.
  std::string remark = {};    ///< What was done to a sound, for its user to hear; or empty.
};

/// A mask as large as a model's picture.
struct InputMask {
  std::vector<bool> drawn;    ///< [H, W]: white, rather than black.
  int width = 0, height = 0;  ///< Of the file.
};

/// How pictures of another size, and sounds of another length, are made to fit: --fit.
class InputFit {
 public:
  InputFit() = default;
  explicit InputFit(Fit fit) : fit_(fit) {}
  void add_to(CLI::App& command);

  /// A picture of the model's channels, of shape [C, H, W]; `name` is for messages. Throws Error (file).
  InputSample read(const PictureValues& picture, const std::string& name, const std::vector<std::int64_t>& shape,
                   const ModelInfo& info) const;

  /// A sound of the model's channels, rate and length. Another rate is changed, several channels become one, and one
  /// becomes several; the remark says so. Throws Error: file, usage where --fit is not for sounds.
  InputSample read(const SoundValues& sound, const std::string& name, const ModelInfo& info) const;

  /// A mask for pictures of shape [C, H, W]. Throws Error (file), also where the mask is in colour.
  InputMask read_mask(const PictureValues& picture, const std::string& name,
                      const std::vector<std::int64_t>& shape) const;

 private:
  /// `picture` as large as the model's.
  PictureValues fitted(PictureValues picture, const std::string& file, const std::vector<std::int64_t>& shape) const;

  std::optional<Fit> fit_;
};

}  // namespace onestep
