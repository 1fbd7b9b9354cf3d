#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "onestep/signature.hpp"

namespace onestep {
/// What a network was trained to be: a map to the trajectory's start, a denoiser, or a map between any two levels.
enum class Role { consistency, diffusion, flow_map };
/// The name that a model file has for it.
const char* name_of(Role role);
/// What a sample is.
enum class Modality { image, audio, video, music };
/// The name that a model file has for it.
const char* name_of(Modality modality);

/// What noise and samplers see: one sample, without its row.
struct SampleSpace {
  std::vector<Size> sizes;                        ///< As the file has them: numbers, or free.
  std::vector<std::int64_t> shape;                ///< With the default of every free size; every size >= 1.
  std::map<std::string, std::int64_t> multiples;  ///< What a free size must be a multiple of, where that is not 1.
  /// Pixels beyond which no value of the output depends on one of the input, in a network that has such a reach.
  std::optional<std::int64_t> halo;
};

/// How notes are read from a roll, a sample of modality music. Its channels: a note of the voice begins, sounds, a note
/// of the piano begins, sounds; its rows: pitches, upwards; its columns: sixteenths.
struct RollInfo {
  int lowest_pitch = 0;                                ///< Of the first row: MIDI, 60 is the middle C.
  double onset_threshold = 0.5, held_threshold = 0.5;  ///< Within the range: values above mean that one begins, sounds.
};

/// What is saved and looked at: the sample itself, or what the decoder makes of it.
struct DataSpace {
  /// image [C, H, W], audio [C, L], video [C, T, H, W] or music [4, pitches, sixteenths].
  Modality modality = Modality::image;
  std::vector<Size> sizes;          ///< As the file has them; a free size is a multiple of one of the sample.
  std::vector<std::int64_t> shape;  ///< With the default of every free size.
  /// audio: sample rate, Hz; video: frame rate, frames/s; music: tempo, quarter notes/min; image: 0.
  double rate = 0;
  double range_low = -1, range_high = 1;  ///< Of the values, nominally: black and white, full amplitude.
  RollInfo roll = {};                     ///< Of music.
};

/// A further input of the network, behind x, the noise level and the target.
enum class ConditionKind {
  label,   ///< `class`: int64 [N], with a map also int64 [N, H, W], or float32 [N, label_count].
  scalar,  ///< float32 [N].
  vector,  ///< float32 [N, D].
  tokens,  ///< float32 [N, L, D], what the component text_encoder makes of token ids int64 [N, L].
  image,   ///< float32 [N, C, H, W], such as a picture of low resolution.
};
/// A further input of a model, as its file describes it.
struct ConditionInfo {
  std::string name;                            ///< That a request gives it by, such as guidance.
  ConditionKind kind = ConditionKind::scalar;  ///< Of what type and shape it is.
  std::vector<Size> sizes;                     ///< vector: [D]; tokens: [L, D]; image: [C, H, W]. Else empty.
  double default_value = 0;                    ///< scalar: what it is unless it is asked for.
  double low = 0, high = 0;                    ///< scalar: its range; tokens: that of their numbers.
  std::vector<std::int64_t> null_tokens;       ///< tokens: those that mean "no text", L of them; or empty.
  std::optional<std::int64_t> pad;             ///< tokens: what a text of fewer than L ends in.
  bool mask = false;                           ///< tokens: bool [N, L] is a further input behind them.
  bool map = false;                            ///< label: one for each pixel is taken too.
};

/// What a model file says of itself. Ranges are those that loading checks.
struct ModelInfo {
  std::string name;               ///< Such as fashion.
  std::string license;            ///< An SPDX identifier, or what the file says.
  Role role = Role::consistency;  ///< What its network was trained to be.
  SampleSpace sample;             ///< What noise and samplers see.
  DataSpace data;                 ///< What is saved and looked at.
  /// In the order in which the network takes them. At most one of the kinds label and tokens each; a scalar of the name
  /// `guidance` is the guidance scale.
  std::vector<ConditionInfo> conditions;

  std::int64_t label_count = 0;            ///< Of the condition of kind label; 0: the model has none.
  std::vector<std::string> label_names;    ///< label_count of them, or none.
  std::optional<std::int64_t> null_label;  ///< The index that means "no label", label_count or above.
  bool one_hot_labels = false;             ///< The network takes float32 [N, label_count] rather than int64 [N].

  std::string noise_input = "log_sigma";  ///< What the network is told of sigma; docs/design.md has the table.
  double noise_scale = 0.25;              ///< Of log_sigma, angle and flow_time, > 0.
  double flow_noise_scale = 1;            ///< s in sigma = s tau / (1 - tau), of flow_time and flow, > 0.
  /// s: the levels of a flow model are even in tau and then moved to s tau / (1 + (s - 1) tau); > 0.
  double flow_shift = 1;
  std::vector<double> timestep_sigmas;  ///< noise_input timestep: sigma of each timestep, rising. Else empty.
  bool interpolated_timesteps = false;  ///< A sigma between two timesteps: a broken number, or the nearest one.

  std::string prediction = "edm";  ///< What the raw output means; docs/design.md has the table.
  double sigma_data = 0.5;         ///< Standard deviation of the data, > 0.
  double boundary_sigma = 0;       ///< epsilon, in [0, sigma_min].
  double timestep_scaling = 0;     ///< s of the latent-consistency boundary (Luo et al. 2023), > 0; 0: there is none.

  double sigma_min = 0.002, sigma_max = 80, rho = 7;  ///< Of the Karras levels (Karras et al. 2022, Eq. 5).

  std::map<int, std::vector<double>> levels;  ///< Recommended levels for a number of steps.
  bool renoise_by_level = false;              ///< Add tau rather than sqrt(tau^2 - epsilon^2) before a further step.
  /// A sample starts from unit noise at the network's input, rather than from sigma * noise. None: as its prediction's
  /// paper has it.
  std::optional<bool> starts_from_unit_noise;
  bool clip_denoised = false;  ///< Every denoised sample is clamped to the range.

  std::map<std::string, std::string> components;  ///< Of a model folder: name and file. Else empty.
  std::string card = "{}";                        ///< What the file tells people: a JSON object.
};

/// The free sizes of the default shape, by name.
std::map<std::string, std::int64_t> default_sizes(const SampleSpace& space);
/// Sizes with numbers for their names. Throws Error (usage) on a name without a number.
std::vector<std::int64_t> shape_at(const std::vector<Size>& sizes, const std::map<std::string, std::int64_t>& values);

/// The condition of a kind, or null.
const ConditionInfo* find_condition(const ModelInfo& info, ConditionKind kind);
/// The guidance scale where the network takes it as an input, or null.
const ConditionInfo* guidance_input(const ModelInfo& info);
/// The guidance scale unless another is asked for: of the model's input, or 1, none.
double default_guidance(const ModelInfo& info);

}  // namespace onestep
