#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "input_fit.hpp"
#include "onestep/generator.hpp"

namespace onestep {

/// What an edit begins from. The names are for messages.
struct EditInput {
  InputFit fit = {};
  std::variant<PictureValues, SoundValues> given = {};
  std::string name = "picture";
  std::optional<PictureValues> mask = {};  ///< Of a picture's inpaint.
  std::string mask_name = "mask";
  std::optional<std::pair<double, double>> gap = {};  ///< Of a sound's inpaint: where it begins and ends, seconds.
  int factor = 2;                                     ///< Of upscale.
};

/// An edit, and what its user should hear of it.
struct PreparedEdit {
  Edit edit;
  std::string remark = {};
};

/// A kind of edit that begins from a picture or a sound.
struct EditTask {
  const char* name;
  const char* description;
  const char* input;
  const char* example;
  PreparedEdit (*prepare)(const EditInput& input, const ModelInfo& info);  ///< Throws Error: usage, file.
  std::vector<double> levels;             ///< By default, of pictures; empty: 8 Karras levels.
  const char* sound_example = nullptr;    ///< None: it is for pictures alone.
  std::vector<double> sound_levels = {};  ///< By default, of sounds; what lies above sigma_max stands for it.
};

const std::vector<EditTask>& edit_tasks();

/// The levels of an edit: those given, or the task's own.
Levels levels_of_edit(const EditTask& task, Levels given, const ModelInfo& info);

/// "0.1-0.25": where a gap begins and where it ends, seconds. Throws Error (usage).
std::pair<double, double> parse_gap(const std::string& text);

}  // namespace onestep
