#pragma once

namespace onestep {

/// What samples can be kept as.
enum class FileKind {
  png,   ///< An image, or several as a grid.
  jpeg,  ///< The same, of 1 or 3 channels.
  webp,  ///< The same, or a clip; lossless.
  wav,   ///< A sound.
  npy,   ///< float32 [N, ...], unclamped.
  npz,   ///< Arrays samples, seeds and, of a model with labels, labels.
};

}  // namespace onestep
