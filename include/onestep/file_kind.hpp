#pragma once

#include <string>

#include "onestep/model_info.hpp"

namespace onestep {

/// What samples can be kept as.
enum class FileKind {
  png,   ///< An image, or music as a picture of its notes; or several as a grid.
  jpeg,  ///< The same, of 1 or 3 channels.
  webp,  ///< The same, or a clip; lossless.
  wav,   ///< A sound, or music as FluidSynth plays it.
  midi,  ///< Music.
  npy,   ///< float32 [N, ...], unclamped.
  npz,   ///< Arrays samples, seeds and, of a model with labels, labels.
};

/// What a sample of this modality goes to unless another kind is asked for.
FileKind usual_kind(Modality modality);

/// With its dot, such as ".png".
std::string extension_of(FileKind kind);

}  // namespace onestep
