#pragma once

#include <string>
#include <utility>
#include <vector>

#include "onestep/generator.hpp"

namespace onestep {

struct SaveOptions {
  int columns = 0;  ///< Of a picture of several samples; 0: about as many as rows.
  int enlarge = 1;  ///< Every pixel becomes a square of this many pixels, >= 1.
  std::vector<std::pair<std::string, std::string>> texts = {};  ///< Kept in a PNG beside the pixels: keyword and text.
};

/// Throws Error (usage) unless `count` samples of this model fit into a file of this name's kind, and Error (file)
/// where it can't be written: to be asked before they are drawn.
void require_savable(const std::string& file, const ModelInfo& info, std::size_t count);

/// Writes samples to one file, whole or not at all. By its extension: .png, .jpg, .webp (images, several as a grid;
/// .webp also one clip), .wav (one sound), .npy (float32 [N, ...], unclamped), .npz (samples, seeds, labels). Throws
/// Error: usage where the samples do not fit the kind, file where the file can't be written.
void save(const std::string& file, const ModelInfo& info, const std::vector<Sample>& samples,
          const SaveOptions& options = {});

}  // namespace onestep
