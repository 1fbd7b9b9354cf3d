#pragma once

#include <optional>
#include <string>

#include "onestep/generator.hpp"

namespace onestep {

// A request as JSON: what a picture says of how it was made, and what a program sends. An object of
//   seeds       whole numbers; or count, a whole number: the seeds 0 to count - 1
//   labels      names or numbers, in turn over the seeds
//   sampler     a name of samplers(), with steps, or levels (numbers), schedule (a name of level_schedules()) and
//   options
//               (an object of numbers by their names)
//   guidance    a number
//   batch       a whole number
//   force       true or false
//   sizes       an object of whole numbers by the names of the free sizes
//   tokens      an array of arrays of whole numbers
//   conditions  an object of arrays of numbers by the names of the conditions
// of which seeds or count alone is required. A field that is not known is an error.

/// Throws Error (usage), which names the field, its value and the rule. At most 16 MiB, at most 10,000,000 seeds.
Request request_of_json(const std::string& json, const ModelInfo& info);

/// All of a request but what has no place there: an edit, and noise in place of the seeds' own. Labels that have a name
/// are named. Throws Error (usage) on a sampler without a name.
std::string to_json(const Request& request, const ModelInfo& info);

/// The label of that name, whatever the case where no other differs by it alone, or of that index. Throws Error
/// (usage), listing the labels there are.
std::int64_t find_label(const std::string& label, const ModelInfo& info);

/// The name by which find_label finds a label; none where it has no name, or shares it with another.
std::optional<std::string> name_of_label(std::int64_t label, const ModelInfo& info);

/// As make_sampler; an empty name is that of the model's default sampler.
Sampler make_sampler_for(const ModelInfo& info, const std::string& name, Levels levels,
                         const std::map<std::string, double>& options);

}  // namespace onestep
