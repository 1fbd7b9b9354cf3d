#include "folder_output.hpp"

#include <algorithm>

#include "file_pattern.hpp"
#include "onestep/request_json.hpp"
#include "onestep/save.hpp"
#include "request_part.hpp"

namespace onestep {
namespace {

constexpr std::size_t files_a_folder = 1000;

}  // namespace

BulkReport draw_into_folder(const BulkTask& task, const std::string& folder, const std::string& extension,
                            int enlarge) {
  const Request& request = task.request;
  const ModelInfo& info = task.generator.info();
  const bool in_folders = request.seeds.size() > short_run;
  const std::string name = "{seed:06d}" + extension;
  const Provenance provenance(task.hash);
  const Report plan = task.generator.plan(request);
  const FileKind kind = file_kind("a" + extension, info, 1);
  require_different(request.seeds);

  BulkLayout layout{.folder = folder, .pattern = (in_folders ? "{number/1000:03d}/" : "") + name};
  if (enlarge > 1) layout.pattern += ", " + std::to_string(enlarge) + " times as large";
  layout.place = [&](std::size_t number) {
    std::string file;
    if (in_folders) {
      const std::string thousand = std::to_string(number / files_a_folder);
      file = std::string(3 - std::min<std::size_t>(thousand.size(), 3), '0') + thousand + "/";
    }
    return ItemPlace{request.seeds[number], file + file_of_seed(name, request.seeds[number])};
  };
  layout.encode = [&](std::span<const Sample> sample, std::size_t number) {
    SaveOptions options{.enlarge = enlarge};
    if (kind == FileKind::png) {
      const Request again = drawn_again(part_of(request, info, places_from(number, 1)), sample);
      nlohmann::ordered_json made{
          {"model", info.name},    {"sampler", plan.sampler}, {"options", parts_of(request.sampler).options},
          {"levels", plan.levels}, {"seeds", again.seeds},    {"labels", labels_of(sample)}};
      made["request"] = nlohmann::ordered_json::parse(to_json(again, info));
      // Not the command: a picture is to be the same whatever process of the run draws it.
      options.texts = provenance.texts(std::move(made), /*with_command=*/false);
    }
    return encode(kind, info, {sample.begin(), sample.end()}, options);
  };
  return draw_in_bulk(task, layout);
}

}  // namespace onestep
