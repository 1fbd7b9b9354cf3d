#pragma once

#include <string>

#include "onestep/model_info.hpp"

namespace onestep {

/// What samples can be kept as.
enum class FileKind {
  /// An image; a sound as a picture of its waveform and spectrum, music of its notes; or several as a grid. Clips: a
  /// row each, frame beside frame.
  png,
  jpeg,  ///< The same, of images those of 1 or 3 channels; no clips.
  webp,  ///< As png, or a clip that moves; lossless.
  wav,   ///< A sound, or music as FluidSynth plays it.
  midi,  ///< Music.
  npy,   ///< float32 [N, ...], unclamped.
  npz,   ///< Arrays samples, seeds and, of a model with labels, labels.
  apng,  ///< A clip that moves; lossless.
  gif,   ///< The same in at most 255 colours; what is half transparent is seen or not.
};

/// What a sample of this modality goes to unless another kind is asked for.
FileKind usual_kind(Modality modality);

/// With its dot, such as ".png".
std::string extension_of(FileKind kind);

}  // namespace onestep
