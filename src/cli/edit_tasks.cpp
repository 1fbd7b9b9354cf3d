#include "edit_tasks.hpp"

#include <algorithm>

#include "onestep/error.hpp"

namespace onestep {
namespace {

PreparedEdit inpaint(const EditInput& input, const ModelInfo& info) {
  const InputSample picture = input.fit.read(input.picture, input.picture_name, info.data.shape, info);
  std::vector<bool> known_pixels = picture.there;
  if (input.mask) {
    const InputMask mask = input.fit.read_mask(*input.mask, input.mask_name, info.data.shape);
    if (mask.width != picture.width || mask.height != picture.height) {
      throw Error(ErrorKind::file, input.mask_name + ": has " + std::to_string(mask.width) + " x " +
                                       std::to_string(mask.height) + " pixels; a mask has as many as its picture, " +
                                       std::to_string(picture.width) + " x " + std::to_string(picture.height));
    }
    // White is drawn, as in most programs that inpaint.
    for (std::size_t p = 0; p < mask.drawn.size(); ++p) known_pixels[p] = known_pixels[p] && !mask.drawn[p];
  }
  Inpaint task{picture.values, {}};
  for (std::int64_t c = 0; c < info.data.shape[0]; ++c) {
    task.mask.insert(task.mask.end(), known_pixels.begin(), known_pixels.end());
  }
  const auto known = static_cast<std::size_t>(std::count(task.mask.begin(), task.mask.end(), 1.0F));
  const std::string what = input.mask ? input.mask_name : input.picture_name;
  std::string remark;
  if (known == 0) remark = what + " leaves nothing of the picture: all of it is drawn";
  if (known == task.mask.size() && !input.mask) {
    throw Error(
        ErrorKind::usage,
        input.picture_name + " is opaque all over; give --mask, a picture that is white where it is to be drawn");
  }
  if (known == task.mask.size()) remark = what + " covers nothing: the picture stays as it is";
  return {std::move(task), std::move(remark)};
}

PreparedEdit colorize(const EditInput& input, const ModelInfo& info) {
  if (info.data.shape[0] != 3) {
    throw Error(ErrorKind::usage, "colorize needs a model that makes colours; " + info.name + " makes grey pictures");
  }
  const std::vector<float> colours = input.fit.read(input.picture, input.picture_name, info.data.shape, info).values;
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
  return {Upscale{input.fit.read(input.picture, input.picture_name, shape, info).values, factor}};
}

PreparedEdit stroke(const EditInput& input, const ModelInfo& info) {
  return {Stroke{input.fit.read(input.picture, input.picture_name, info.data.shape, info).values}};
}

PreparedEdit denoise(const EditInput& input, const ModelInfo& info) {
  return {Denoise{input.fit.read(input.picture, input.picture_name, info.data.shape, info).values}};
}

}  // namespace

const std::vector<EditTask>& edit_tasks() {
  static const std::vector<EditTask> table{
      {"inpaint",
       "Draw anew what a mask covers",
       "the picture, of the model's size",
       "inpaint fashion shirt.png --mask mask.png",
       inpaint,
       {}},
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
       "Turn a rough picture into one of the model's",
       "the picture, of the model's size",
       "stroke fashion sketch.png --levels 5,1",
       stroke,
       {5, 1}},
      {"denoise",
       "Take the noise out of a picture",
       "the noisy picture, of the model's size",
       "denoise fashion noisy.png --sigma 0.5",
       denoise,
       {}},
  };
  return table;
}

Levels levels_of_edit(const EditTask& task, Levels given) {
  if (!given.steps && given.values.empty()) given.values = task.levels;
  if (given.values.empty()) given = {.steps = given.steps.value_or(8), .schedule = "karras"};
  return given;
}

}  // namespace onestep
