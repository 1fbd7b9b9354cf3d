#include "edit_tasks.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "onestep/error.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

/// The picture, of shape [C, H, W], or the sound.
InputSample sample_of(const EditInput& input, const std::vector<std::int64_t>& shape, const ModelInfo& info) {
  if (const auto* sound = std::get_if<SoundValues>(&input.given)) return input.fit.read(*sound, input.name, info);
  return input.fit.read(std::get<PictureValues>(input.given), input.name, shape, info);
}

/// White is drawn, as in most programs that inpaint.
void draw_mask(InputSample& sample, const EditInput& input, const ModelInfo& info) {
  const InputMask mask = input.fit.read_mask(*input.mask, input.mask_name, info.data.shape);
  if (mask.width != sample.width || mask.height != sample.height) {
    throw Error(ErrorKind::file, input.mask_name + ": has " + std::to_string(mask.width) + " x " +
                                     std::to_string(mask.height) + " pixels; a mask has as many as its picture, " +
                                     std::to_string(sample.width) + " x " + std::to_string(sample.height));
  }
  for (std::size_t p = 0; p < mask.drawn.size(); ++p) sample.there[p] = sample.there[p] && !mask.drawn[p];
}

void draw_gap(InputSample& sample, const std::pair<double, double>& gap, const ModelInfo& info) {
  const auto length = static_cast<double>(info.data.shape[1]);
  const double first = std::round(gap.first * info.data.rate), last = std::round(gap.second * info.data.rate);
  if (last > length || first >= last) {
    throw Error(ErrorKind::usage, "the gap from " + fixed(gap.first, 3) + " to " + fixed(gap.second, 3) +
                                      " s must have a sample and lie within the sound's " +
                                      fixed(length / info.data.rate, 3) + " s");
  }
  std::fill(sample.there.begin() + static_cast<std::ptrdiff_t>(first),
            sample.there.begin() + static_cast<std::ptrdiff_t>(last), false);
}

PreparedEdit inpaint(const EditInput& input, const ModelInfo& info) {
  const bool is_sound = std::holds_alternative<SoundValues>(input.given);
  if (is_sound ? input.mask.has_value() : input.gap.has_value()) {
    throw Error(ErrorKind::usage, is_sound ? "--mask is for pictures; --gap says what of a sound is drawn"
                                           : "--gap is for sounds; --mask says what of a picture is drawn");
  }
  InputSample sample = sample_of(input, info.data.shape, info);
  const std::size_t places = sample.there.size();
  if (input.mask) draw_mask(sample, input, info);
  if (input.gap) draw_gap(sample, *input.gap, info);
  const auto known = static_cast<std::size_t>(std::count(sample.there.begin(), sample.there.end(), true));
  if (known == places && !input.mask) {
    throw Error(ErrorKind::usage,
                is_sound
                    ? input.name + " is known all over; give --gap, such as 0.1-0.25: the seconds that are drawn"
                    : input.name + " is opaque all over; give --mask, a picture that is white where it is to be drawn");
  }
  const std::string what = input.mask ? input.mask_name : input.name;
  std::string remark = sample.remark;
  if (known == 0)
    remark += (remark.empty() ? "" : "; ") + what + " leaves nothing of the " + (is_sound ? "sound" : "picture") +
              ": all of it is drawn";
  if (known == places) remark = what + " covers nothing: the picture stays as it is";
  Inpaint task{std::move(sample.values), {}};
  for (std::int64_t c = 0; c < info.data.shape[0]; ++c)
    task.mask.insert(task.mask.end(), sample.there.begin(), sample.there.end());
  return {std::move(task), std::move(remark)};
}

PreparedEdit colorize(const EditInput& input, const ModelInfo& info) {
  if (info.data.shape[0] != 3) {
    throw Error(ErrorKind::usage, "colorize needs a model that makes colours; " + info.name + " makes grey pictures");
  }
  const std::vector<float> colours = sample_of(input, info.data.shape, info).values;
  const std::size_t pixels = colours.size() / 3;
  Colorize task;
  for (std::size_t p = 0; p < pixels; ++p) {
    task.luma.push_back(0.299F * colours[p] + 0.587F * colours[p + pixels] + 0.114F * colours[p + 2 * pixels]);
  }
  return {std::move(task)};
}

PreparedEdit upscale(const EditInput& input, const ModelInfo& info) {
  const int factor = input.factor;
  if (factor < 2 || info.data.shape[1] % factor != 0 || info.data.shape[2] % factor != 0) {
    throw Error(ErrorKind::usage, "--factor " + std::to_string(factor) + " must be 2 or more and divide " +
                                      std::to_string(info.data.shape[1]) + " and " +
                                      std::to_string(info.data.shape[2]));
  }
  const std::vector<std::int64_t> shape{info.data.shape[0], info.data.shape[1] / factor, info.data.shape[2] / factor};
  return {Upscale{sample_of(input, shape, info).values, factor}};
}

PreparedEdit stroke(const EditInput& input, const ModelInfo& info) {
  InputSample sample = sample_of(input, info.data.shape, info);
  return {Stroke{std::move(sample.values)}, std::move(sample.remark)};
}

PreparedEdit denoise(const EditInput& input, const ModelInfo& info) {
  InputSample sample = sample_of(input, info.data.shape, info);
  return {Denoise{std::move(sample.values)}, std::move(sample.remark)};
}

}  // namespace

const std::vector<EditTask>& edit_tasks() {
  // The deviation of sounds is about 0.1. What is drawn beside a sound's known part is drawn from noise alone, and made
  // to go with it by a second call; a third makes it no better.
  static const std::vector<EditTask> table{
      {"inpaint",
       "Draw anew what a mask covers of a picture, or a gap of a sound",
       "the picture or the sound (.wav, .flac), of the model's size",
       "inpaint fashion shirt.png --mask mask.png",
       inpaint,
       {},
       "inpaint drums snare.wav --gap 0.1-0.25 --label snare -o whole.wav",
       {std::numeric_limits<double>::infinity(), 0.1}},
      {"colorize",
       "Colour a grey picture",
       "the picture, of the model's size",
       "colorize model.pt grey.png",
       colorize,
       {}},
      {"upscale",
       "Draw the details of a small picture",
       "the small picture, of the model's size divided by --factor",
       "upscale fashion small.png --factor 2",
       upscale,
       {}},
      {"stroke",
       "Turn a rough picture, or a sound, into one of the model's",
       "the picture or the sound (.wav, .flac), of the model's size",
       "stroke fashion sketch.png --levels 5,1",
       stroke,
       {5, 1},
       "stroke drums kick.wav --label kick -n 8 -o variations/",
       {0.1}},
      {"denoise",
       "Take the noise out of a picture or a sound",
       "the noisy picture or sound (.wav, .flac), of the model's size",
       "denoise fashion noisy.png --sigma 0.5",
       denoise,
       {},
       "denoise drums noisy.wav --sigma 0.05 --label tom -o clean.wav"},
  };
  return table;
}

Levels levels_of_edit(const EditTask& task, Levels given, const ModelInfo& info) {
  if (!given.steps && given.values.empty()) {
    given.values = info.data.modality == Modality::audio ? task.sound_levels : task.levels;
    for (double& level : given.values) level = std::min(level, info.sigma_max);
  }
  if (given.values.empty()) given = {.steps = given.steps.value_or(8), .schedule = "karras"};
  return given;
}

std::pair<double, double> parse_gap(const std::string& text) {
  const std::size_t dash = std::min(text.find('-'), text.size());
  double from = 0, to = 0;
  if (!CLI::detail::lexical_cast(text.substr(0, dash), from) ||
      !CLI::detail::lexical_cast(text.substr(std::min(dash + 1, text.size())), to) || !(from >= 0 && from < to)) {
    throw Error(ErrorKind::usage, "--gap " + text + " must be FROM-TO, two times in seconds, such as 0.1-0.25");
  }
  return {from, to};
}

}  // namespace onestep
