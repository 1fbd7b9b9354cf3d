#pragma once

#include <optional>
#include <string>
#include <vector>

#include "onestep/generator.hpp"
#include "picture_input.hpp"

namespace onestep {

/// What an edit begins from. The names are for messages.
struct EditInput {
  PictureInput fit = {};
  PictureValues picture = {};
  std::string picture_name = "picture";
  std::optional<PictureValues> mask = {};  ///< Of inpaint.
  std::string mask_name = "mask";
  int factor = 2;  ///< Of upscale.
};

/// An edit, and what its user should hear of it.
struct PreparedEdit {
  Edit edit;
  std::string remark = {};
};

/// A kind of edit that begins from a picture.
struct EditTask {
  const char* name;
  const char* description;
  const char* input;
  const char* example;
  PreparedEdit (*prepare)(const EditInput& input, const ModelInfo& info);  ///< Throws Error: usage, file.
  std::vector<double> levels;  ///< By default, below sigma_max; empty: 8 Karras levels.
};

const std::vector<EditTask>& edit_tasks();

/// The levels of an edit: those given, or the task's own.
Levels levels_of_edit(const EditTask& task, Levels given);

}  // namespace onestep
