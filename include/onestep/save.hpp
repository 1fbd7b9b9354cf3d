#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "onestep/file_kind.hpp"
#include "onestep/generator.hpp"

namespace onestep {
/// How samples become a file.
struct SaveOptions {
  int columns = 0;  ///< Of a picture of several samples; 0: about as many as rows.
  int enlarge = 1;  ///< Every pixel becomes a square of this many pixels, >= 1.
  std::vector<std::pair<std::string, std::string>> texts = {};  ///< Kept in a PNG beside the pixels: keyword and text.
  std::optional<double> tempo =
      {};                      ///< Of music in .mid and .wav, quarter notes a minute in [10, 400]; none: the model's.
  std::string soundfont = {};  ///< An .sf2 file, of music in .wav; empty: Debian's default one.
};

/// The kind of file that `file` is by its extension: .png, .jpg, .jpeg, .webp, .apng, .gif, .wav, .mid, .npy or .npz.
/// Throws Error (usage) unless `count` samples of this model fit into one: images, and pictures of sounds and of music,
/// become a grid, clips one that moves, or in a .png a row each; a sound or a piece of music goes alone.
FileKind file_kind(const std::string& file, const ModelInfo& info, std::size_t count);

/// Whether `count` samples of this model fit into one file of the kind.
bool can_hold(FileKind kind, const ModelInfo& info, std::size_t count);

/// Throws Error as file_kind, and Error (file) where the file can't be written: to be asked before samples are drawn.
void require_savable(const std::string& file, const ModelInfo& info, std::size_t count);

/// Samples as the bytes of a file. Throws Error: usage where they do not fit the kind, numerical for NaN or infinity in
/// a picture or a sound, memory.
std::vector<std::byte> encode(FileKind kind, const ModelInfo& info, const std::vector<Sample>& samples,
                              const SaveOptions& options = {});

/// Writes them to one file of the kind that its extension says, whole or not at all. Throws Error as encode, and Error
/// (file) where the file can't be written.
void save(const std::string& file, const ModelInfo& info, const std::vector<Sample>& samples,
          const SaveOptions& options = {});

}  // namespace onestep
