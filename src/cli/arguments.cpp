#include "arguments.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "array_file.hpp"
#include "canvas_output.hpp"
#include "input_file.hpp"
#include "onestep/messages.hpp"
#include "onestep/request_json.hpp"
#include "require.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

constexpr std::uint64_t most_token_bytes = 16 << 20;  // of a file: a hundred thousand texts of 77 tokens of two digits

constexpr std::array precisions{Precision::automatic, Precision::fp32, Precision::bf16, Precision::fp16};

Precision parse_precision(const std::string& text) {
  for (const Precision precision : precisions) {
    if (text == name_of(precision)) return precision;
  }
  refuse("unknown precision " + text + "; give auto, fp32, bf16 or fp16");
}

/// text(item) of each.
template <typename Items, typename Text>
std::string list(const Items& items, Text text, const char* separator = ", ") {
  std::string listed;
  for (const auto& item : items) listed += (listed.empty() ? "" : separator) + std::string(text(item));
  return listed;
}

/// "karras|exponential": the choices, as help and completions have them.
template <typename Items>
std::string names_of(const Items& items) {
  return list(
      items, [](const auto& item) { return item.name; }, "|");
}

/// --churn-sigma-min of churn_sigma_min.
std::string flag_of(const SamplerOption& option) {
  std::string flag = "--" + option.name;
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string number(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

std::string described(const SamplerOption& option) {
  return option.description + ", " + range_text(option) + " (default: " + number(option.otherwise) + ")";
}

std::string list_of_samplers() {
  const std::string indent(18, ' ');
  const auto entry = [&](const std::string& name, const std::string& description) {
    return "  " + name + std::string(16 - name.size(), ' ') + description + "\n";
  };
  std::string text = "--sampler\n";
  for (const SamplerDescription& sampler : samplers()) {
    text += entry(sampler.name, sampler.description);
    text += indent + "for the roles: " + list(sampler.roles, [](Role role) { return name_of(role); }) +
            "; --steps (default: " + std::to_string(sampler.steps) + ")\n";
    for (const SamplerOption& option : sampler.options) {
      text += indent + flag_of(option) + ": " + described(option) + "\n";
    }
  }
  text += "--schedule\n";
  for (const Choice& schedule : level_schedules()) {
    text += entry(schedule.name, schedule.description) + indent + "for models: " + schedule.suits + "\n";
  }
  return text;
}

/// "1 of consistency, gamma; 18 of heun": the defaults of --steps.
std::string default_steps() {
  std::map<int, std::vector<std::string>> samplers_of;
  for (const SamplerDescription& sampler : samplers()) samplers_of[sampler.steps].push_back(sampler.name);
  const auto one = [](const auto& entry) {
    return std::to_string(entry.first) + " of " + list(entry.second, [](const std::string& name) { return name; });
  };
  return list(samplers_of, one, "; ");
}

}  // namespace

void MachineArguments::add_to(CLI::App& command) {
  command.add_option("--device", device, "cpu, cuda or cuda:INDEX (default: cpu)")
      ->type_name("cpu|cuda")
      ->group("Machine");
  command
      .add_option(
          "--precision", precision,
          "auto, fp32, bf16, or fp16 on a GPU; auto: bf16 where this CPU or GPU is fast at it and the samples stay the "
          "same, else fp32 (default: auto)")
      ->type_name(list(
          precisions, [](Precision precision) { return name_of(precision); }, "|"))
      ->group("Machine");
  command.add_option("--threads", threads, "CPU threads, 1 to 1024 (default: one a core)")->group("Machine");
  command
      .add_flag("--no-engine", as_it_is, "let libtorch run the network as it is, without compiling it for this machine")
      ->group("Machine");
}

Generator MachineArguments::load(const std::string& model, bool quiet) const {
  set_message_handler(quiet ? MessageHandler() : [](const Message& message) {
    std::istringstream lines(message.text);
    for (std::string line; std::getline(lines, line);) complain(message.network + " says: " + line);
  });
  if (threads) set_threads(*threads);
  return Generator::load(model, {device, !as_it_is, parse_precision(precision)});
}

void SamplerArguments::add_to(CLI::App& command) {
  command.add_option("--sampler", name, "what `--sampler help` lists (default: what suits the model)")
      ->each([](const std::string& given) {
        if (given == "help") throw CLI::CallForVersion(list_of_samplers(), 0);
      })
      ->type_name(names_of(samplers()))
      ->group("Sampler");
  command
      .add_option("--steps", levels.steps,
                  "steps, 1 to 10000: of a consistency model or a flow map, its recommended levels for so many; of a "
                  "diffusion model, levels of the schedule (default: " +
                      default_steps() + ")")
      ->group("Sampler");
  command
      .add_option("--levels", levels.values,
                  "noise levels in place of --steps: falling, above 0, at most the model's sigma_max; such as 80,0.8")
      ->delimiter(',')
      ->group("Sampler");
  command
      .add_option("--schedule", levels.schedule,
                  "how levels are spaced: `--sampler help` (default: what suits the model)")
      ->type_name(names_of(level_schedules()))
      ->group("Sampler");
  command
      .add_option("--guidance", guidance,
                  "guidance scale, 0 or more (default: the model's, or 1: none); two network calls in one unless the "
                  "model takes it as an input")
      ->group("Sampler");
  for (const SamplerDescription& sampler : samplers()) {
    for (const SamplerOption& option : sampler.options) {
      const std::string text = sampler.name + ": " + described(option);
      if (CLI::Option* known = command.get_option_no_throw(flag_of(option))) {  // of several samplers
        known->description(known->get_description() + "; " + text);
        continue;
      }
      const auto set = [this, name = option.name](double value) { options[name] = value; };
      command.add_option_function<double>(flag_of(option), set, text)->group("Sampler");
    }
  }
  command.add_flag("--force", force, "run a sampler that does not suit the model")->group("Sampler");
}

bool SamplerArguments::chosen() const {
  return !name.empty() || levels.steps || !levels.values.empty() || !levels.schedule.empty() || !options.empty();
}

void SamplerArguments::apply_to(Request& request, const ModelInfo& info) const {
  request.sampler = make_sampler_for(info, name, levels, options);
  request.guidance = guidance;
  request.force = force;
}

std::map<std::string, std::int64_t> parse_size(const std::string& text, const ModelInfo& info) {
  const auto [width, height] = parse_extent(text, "--size");
  require_pictures(info);
  std::map<std::string, std::int64_t> sizes;
  const auto take = [&](const char* side, const Size& size, std::int64_t pixels) {
    const std::int64_t free = pixels / size.number;
    const bool fits = size.name.empty()
                          ? pixels == size.number
                          : pixels % size.number == 0 && sizes.insert({size.name, free}).first->second == free;
    if (!fits) {
      refuse("--size " + text + ": the " + side + " of " + info.name + "'s pictures is " + to_text(size) +
             (size.name.empty() ? "" : ", " + size.name + " being a whole number"));
    }
  };
  take("width", info.data.sizes[2], width);
  take("height", info.data.sizes[1], height);
  return sizes;
}

std::vector<std::vector<std::int64_t>> read_tokens(const std::string& file) {
  const auto fail = [&](const std::string& what) { throw Error(ErrorKind::file, file + ": " + what); };
  InputFile input(file);
  if (input.size > most_token_bytes) {
    fail("has " + std::to_string(input.size) + " bytes, but at most " + std::to_string(most_token_bytes) +
         " are read as tokens");
  }
  std::vector<std::vector<std::int64_t>> texts;
  for (std::string line; std::getline(input.stream, line);) {
    std::vector<std::int64_t>& text = texts.emplace_back();
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      const auto token = parse_whole(word);
      if (!token || *token > std::numeric_limits<std::int32_t>::max()) {
        fail("line " + std::to_string(texts.size()) + ": '" + word.substr(0, 60) +
             "' is no token; give whole numbers between blanks, a text a line");
      }
      text.push_back(static_cast<std::int64_t>(*token));
    }
  }
  return texts;
}

std::pair<std::vector<float>, std::int64_t> read_noise(const std::string& file, const ModelInfo& info,
                                                       const std::map<std::string, std::int64_t>& sizes) {
  std::map<std::string, std::int64_t> values = sizes;
  values.merge(default_sizes(info.sample));
  const std::vector<std::int64_t> wanted = shape_at(info.sample.sizes, values);
  FloatArray array = read_npy(file);
  const auto& shape = array.shape;
  const std::size_t dimensions = wanted.size();
  const bool fits = (shape.size() == dimensions + 1 || shape.size() == dimensions + 2) &&
                    std::equal(wanted.begin(), wanted.end(), shape.end() - static_cast<long>(dimensions)) &&
                    !array.values.empty();
  if (!fits) {
    throw Error(ErrorKind::file, file + ": has shape " + nlohmann::json(shape).dump() + "; the noise of " + info.name +
                                     " is [N, ...] or [draws, N, ...] with ... = " + nlohmann::json(wanted).dump());
  }
  const std::int64_t count = shape[shape.size() - dimensions - 1];
  const std::size_t draws = shape.size() == dimensions + 1 ? 1 : static_cast<std::size_t>(shape[0]);
  const std::size_t draw_size = array.values.size() / draws, sample_size = draw_size / static_cast<std::size_t>(count);
  for (std::size_t draw = 0; draw < draws; ++draw) {
    require_finite(std::span(array.values).subspan(draw * draw_size, draw_size), sample_size,
                   draws == 1 ? file : file + ": draw " + std::to_string(draw));
  }
  return {std::move(array.values), count};
}

}  // namespace onestep
