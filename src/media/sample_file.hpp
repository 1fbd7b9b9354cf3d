#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "onestep/file_kind.hpp"
#include "onestep/model_info.hpp"
#include "picture_file.hpp"

namespace onestep {

/// What a model's samples are, apart from their numbers.
struct SampleFormat {
  Modality modality = Modality::image;  ///< As of DataSpace.
  std::vector<std::int64_t> shape;      ///< Of one sample.
  double low = -1, high = 1;            ///< The range that becomes black to white, or the swing of a sound.
  double rate = 1;                      ///< audio: sample rate, whole Hz; video: frames/s; music: quarter notes/min.
  RollInfo roll = {};                   ///< Of music.
  std::string soundfont = {};           ///< Of music that becomes a sound; empty: the one that is installed.
};

/// The kind of file that `file` is by its extension (.png, .jpg, .jpeg, .webp, .apng, .gif, .wav, .mid, .midi, .npy,
/// .npz, in any case). Throws Error (usage), which lists what would do, unless it can hold `count` samples of this
/// format: to be asked before they are drawn. Pictures in one file become a grid, those of music and of sounds too, and
/// clips a grid that moves, or in a .png a row each, frame beside frame; a sound or a piece goes alone.
FileKind file_kind(const std::string& file, const SampleFormat& format, std::size_t count);

/// Whether it can.
bool can_hold(FileKind kind, const SampleFormat& format, std::size_t count);

/// Finished samples, held by somebody else.
struct SampleSet {
  std::vector<std::span<const float>> values;  ///< Of each of N samples.
  std::span<const std::uint64_t> seeds;        ///< [N].
  std::span<const std::int64_t> labels;        ///< [N], or empty for an unconditional model.
  std::vector<std::string> captions = {};      ///< [N], above the pictures of sounds; or empty.
};

struct GridOptions {
  int columns = 0;  ///< 0: as many as make the grid about square.
  int enlarge = 1;  ///< Every pixel becomes a square of this many pixels, at least 1.
};

/// Samples as the bytes of one file. npy: the values [N, ...], unclamped; npz: arrays samples, seeds and, of a
/// conditional model, labels; png: `texts` beside the pixels. Throws Error: usage as file_kind, numerical for NaN or
/// infinity in what becomes bytes.
std::vector<std::byte> encode_samples(FileKind kind, const SampleFormat& format, const SampleSet& samples,
                                      const GridOptions& options = {}, const PictureTexts& texts = {});

}  // namespace onestep
