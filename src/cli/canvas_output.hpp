#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "bulk.hpp"
#include "onestep/canvas.hpp"
#include "terminal.hpp"

namespace onestep {

/// What `generate` takes to draw a part of an endless plane in place of a sample.
struct CanvasArguments {
  std::string size, at, tiles, label_map, label_map_place;
  bool seamless = false;

  void add_to(CLI::App& command);
  /// Whether it is one that is asked for; a model whose samples have free sizes but no halo draws one of that size.
  /// With `noise` of its own, a sample is.
  bool wanted(const ModelInfo& info, bool noise) const;
};

/// What was drawn, for the report.
struct CanvasOutput {
  CanvasReport report;
  Rectangle rectangle;
  std::vector<std::string> files;
  std::int64_t finished = 0;      ///< Seeds.
  nlohmann::ordered_json labels;  ///< Of these seeds.
  bool stopped = false;
  double seconds = 0;
};

/// Throws Error (usage) unless the model makes pictures: --size is of these.
void require_pictures(const ModelInfo& info);

/// Draws the plane of every seed of the task's request to file_of(seed), or, with --tiles, of its one seed to a folder.
/// With --resume, and as ranks of mpirun, which share its bands, the bands of a picture lie in the folder
/// FILE.unfinished until all are there. texts makes of these facts what a picture says of itself.
CanvasOutput draw_canvases(
    const BulkTask& task, const CanvasArguments& arguments,
    const std::function<std::string(std::uint64_t seed)>& file_of,
    const std::function<std::vector<std::pair<std::string, std::string>>(nlohmann::ordered_json)>& texts);

/// The colour that stands for a label in a --label-map: "#rrggbb".
std::string colour_text(std::int64_t label);

/// A line a label: the colour that stands for it in a --label-map, and its name.
std::vector<std::string> list_of_label_colours(const ModelInfo& info);

/// As JSON: where and how.
nlohmann::ordered_json facts_of(const CanvasOutput& output, bool seamless);

}  // namespace onestep
