#include "onestep.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "onestep/canvas.hpp"
#include "onestep/interpolate.hpp"
#include "onestep/messages.hpp"
#include "onestep/request_json.hpp"
#include "onestep/save.hpp"

using namespace onestep;

struct onestep_model {
  Generator generator;
  std::string precision;
};

struct onestep_samples {
  ModelInfo info;
  Result result;
};

struct onestep_canvas {
  Canvas canvas;
};

namespace {

/// Of this thread. What there is no memory for is said by a text that needs none.
thread_local std::string error_text;
thread_local const char* error_shown = "";

onestep_status failed(onestep_status status, const char* text) noexcept {
  try {
    error_text = text;
    error_shown = error_text.c_str();
  } catch (...) {
    error_shown = "out of memory";
  }
  return status;
}

onestep_status status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::usage:
      return ONESTEP_USAGE;
    case ErrorKind::model:
      return ONESTEP_MODEL;
    case ErrorKind::file:
      return ONESTEP_FILE;
    case ErrorKind::numerical:
      return ONESTEP_NUMERICAL;
    case ErrorKind::memory:
      return ONESTEP_MEMORY;
  }
  return ONESTEP_FAULT;
}

/// No exception gets out.
template <typename Act>
onestep_status guarded(Act act) noexcept {
  try {
    return act();
  } catch (const Error& error) {
    return failed(status_of(error.kind()), error.what());
  } catch (const std::bad_alloc&) {
    return failed(ONESTEP_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return failed(ONESTEP_FAULT, error.what());
  } catch (...) {
    return failed(ONESTEP_FAULT, "an exception of an unknown kind");
  }
}

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorKind::usage, message); }

template <typename Pointer>
Pointer required(const char* name, Pointer pointer) {
  if (!pointer) refuse(std::string(name) + " is NULL; give what onestep.h says");
  return pointer;
}

/// A place for what is handed out, NULL until then.
template <typename Handle>
Handle*& place_of(const char* name, Handle** place) {
  return *required(name, place) = nullptr;
}

/// A struct of the size that the program knows; what it doesn't know of is 0.
template <typename Struct>
Struct read(const char* name, const Struct* given) {
  Struct known{};
  if (!given) return known;
  if (given->size < sizeof given->size) {
    refuse(std::string(name) + ".size = " + std::to_string(given->size) + " must be sizeof of the struct");
  }
  std::memcpy(&known, given, std::min(given->size, sizeof known));
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  if (given->size > sizeof known &&
      std::any_of(bytes + sizeof known, bytes + given->size, [](unsigned char byte) { return byte != 0; })) {
    refuse(std::string(name) + " has fields that this library, " ONESTEP_VERSION ", doesn't know; use a later one");
  }
  return known;
}

/// Fills as much of a struct as the program knows of.
template <typename Struct>
void write(const char* name, Struct* place, Struct values) {
  required(name, place);
  if (place->size < sizeof place->size) {
    refuse(std::string(name) + "->size = " + std::to_string(place->size) + " must be set to sizeof of the struct");
  }
  values.size = place->size;
  std::memcpy(place, &values, std::min(place->size, sizeof values));
}

std::vector<float> numbers(const char* name, const float* values, std::size_t count) {
  if (count > 0) required(name, values);
  return values ? std::vector<float>(values, values + count) : std::vector<float>();
}

OnProgress listener(onestep_on_progress on_progress, void* user, std::stop_source& stop) {
  if (!on_progress) return {};
  return [=](const Progress& progress) mutable {
    const onestep_progress told{sizeof told, progress.calls_done, progress.calls, progress.samples_done,
                                progress.samples};
    if (on_progress(&told, user) != 0) stop.request_stop();
  };
}

Edit edit_of(const onestep_extras& extras) {
  std::vector<float> input = numbers("extras.input", extras.input, extras.input_count);
  switch (extras.edit) {
    case ONESTEP_NO_EDIT:
      return {};
    case ONESTEP_INPAINT:
      return Inpaint{std::move(input), numbers("extras.mask", extras.mask, extras.mask_count)};
    case ONESTEP_COLORIZE:
      return Colorize{std::move(input)};
    case ONESTEP_UPSCALE:
      return Upscale{std::move(input), extras.factor};
    case ONESTEP_STROKE:
      return Stroke{std::move(input)};
    case ONESTEP_DENOISE:
      return Denoise{std::move(input)};
  }
  refuse("extras.edit = " + std::to_string(extras.edit) + " must be one of onestep_edit");
}

Request request_of(const onestep_model& model, const char* json, const onestep_extras& extras) {
  Request request = request_of_json(required("request", json), model.generator.info());
  request.noise = numbers("extras.noise", extras.noise, extras.noise_count);
  request.edit = edit_of(extras);
  return request;
}

onestep_sample shown(const Sample& sample) {
  return {sizeof(onestep_sample), sample.seed,         sample.label.value_or(-1), sample.values.data(),
          sample.values.size(),   sample.shape.data(), sample.shape.size()};
}

onestep_status stopped_or_done(bool stopped) {
  return stopped ? failed(ONESTEP_STOPPED, "stopped, as a callback asked") : ONESTEP_OK;
}

}  // namespace

const char* onestep_error(void) { return error_shown; }

const char* onestep_version(void) { return ONESTEP_VERSION; }

onestep_status onestep_set_threads(int threads) {
  return guarded([&] {
    set_threads(threads);
    return ONESTEP_OK;
  });
}

onestep_status onestep_set_message_handler(onestep_message handler, void* user) {
  return guarded([&] {
    set_message_handler(handler ? MessageHandler([=](const Message& message) {
      handler(message.network.c_str(), message.text.c_str(), user);
    })
                                : MessageHandler());
    return ONESTEP_OK;
  });
}

onestep_status onestep_load(const char* model, const onestep_load_options* options, onestep_model** loaded) {
  return guarded([&] {
    onestep_model*& place = place_of("loaded", loaded);
    const onestep_load_options given = read("options", options);
    LoadOptions wanted;
    if (given.device) wanted.device = given.device;
    wanted.compile = given.no_engine == 0;
    switch (given.precision) {
      case ONESTEP_AUTOMATIC:
        wanted.precision = Precision::automatic;
        break;
      case ONESTEP_FP32:
        wanted.precision = Precision::fp32;
        break;
      case ONESTEP_BF16:
        wanted.precision = Precision::bf16;
        break;
      case ONESTEP_FP16:
        wanted.precision = Precision::fp16;
        break;
      default:
        refuse("options.precision = " + std::to_string(given.precision) + " must be one of onestep_precision");
    }
    Generator generator = Generator::load(required("model", model), wanted);
    const std::string precision = name_of(generator.precision().precision);
    place = new onestep_model{std::move(generator), precision};
    return ONESTEP_OK;
  });
}

void onestep_free_model(onestep_model* model) { delete model; }

onestep_status onestep_describe(const onestep_model* model, onestep_model_info* info) {
  return guarded([&] {
    const ModelInfo& known = required("model", model)->generator.info();
    onestep_model_info told{};
    told.name = known.name.c_str();
    told.license = known.license.c_str();
    told.file = model->generator.file().c_str();
    told.role = name_of(known.role);
    told.modality = name_of(known.data.modality);
    told.shape = known.data.shape.data();
    told.rank = known.data.shape.size();
    told.noise_shape = known.sample.shape.data();
    told.noise_rank = known.sample.shape.size();
    told.range_low = known.data.range_low;
    told.range_high = known.data.range_high;
    told.rate = known.data.rate;
    told.sigma_min = known.sigma_min;
    told.sigma_max = known.sigma_max;
    told.label_count = known.label_count;
    told.precision = model->precision.c_str();
    write("info", info, told);
    return ONESTEP_OK;
  });
}

const char* onestep_label_name(const onestep_model* model, int64_t label) {
  if (!model || label < 0 || label >= model->generator.info().label_count) return nullptr;
  const std::vector<std::string>& names = model->generator.info().label_names;
  const auto index = static_cast<std::size_t>(label);
  return index < names.size() ? names[index].c_str() : "";
}

onestep_status onestep_find_label(const onestep_model* model, const char* name, int64_t* label) {
  return guarded([&] {
    *required("label", label) = find_label(required("name", name), required("model", model)->generator.info());
    return ONESTEP_OK;
  });
}

onestep_status onestep_generate(const onestep_model* model, const char* request, const onestep_extras* extras,
                                onestep_samples** samples) {
  return guarded([&] {
    onestep_samples*& place = place_of("samples", samples);
    const onestep_extras given = read("extras", extras);
    const Generator& generator = required("model", model)->generator;
    std::stop_source stop;
    Result result = generator.generate(request_of(*model, request, given),
                                       listener(given.on_progress, given.progress_user, stop), stop.get_token());
    place = new onestep_samples{generator.info(), std::move(result)};
    return stopped_or_done(place->result.report.stopped);
  });
}

onestep_status onestep_generate_each(const onestep_model* model, const char* request, const onestep_extras* extras,
                                     onestep_on_sample on_sample, void* user) {
  return guarded([&] {
    required("on_sample", on_sample);
    const onestep_extras given = read("extras", extras);
    std::stop_source stop;
    const Sink sink = [&](Sample&& sample) {
      const onestep_sample told = shown(sample);
      if (!stop.stop_requested() && on_sample(&told, user) != 0) stop.request_stop();
    };
    const Report report =
        required("model", model)
            ->generator.generate_each(request_of(*model, request, given), sink,
                                      listener(given.on_progress, given.progress_user, stop), stop.get_token());
    return stopped_or_done(report.stopped || stop.stop_requested());
  });
}

void onestep_free_samples(onestep_samples* samples) { delete samples; }

size_t onestep_count(const onestep_samples* samples) { return samples ? samples->result.samples.size() : 0; }

onestep_status onestep_get(const onestep_samples* samples, size_t index, onestep_sample* sample) {
  return guarded([&] {
    const std::vector<Sample>& all = required("samples", samples)->result.samples;
    if (index >= all.size()) {
      refuse("index = " + std::to_string(index) + " must be below the number of samples, " +
             std::to_string(all.size()));
    }
    write("sample", sample, shown(all[index]));
    return ONESTEP_OK;
  });
}

onestep_status onestep_report_of(const onestep_samples* samples, onestep_report* report) {
  return guarded([&] {
    const Report& known = required("samples", samples)->result.report;
    write("report", report,
          {sizeof(onestep_report), known.sampler.c_str(), known.levels.data(), known.levels.size(), known.nfe,
           known.seconds, known.stopped ? 1 : 0});
    return ONESTEP_OK;
  });
}

onestep_status onestep_plan(const onestep_model* model, const char* request, const onestep_extras* extras,
                            onestep_samples** samples) {
  return guarded([&] {
    onestep_samples*& place = place_of("samples", samples);
    const Generator& generator = required("model", model)->generator;
    Report report = generator.plan(request_of(*model, request, read("extras", extras)));
    place = new onestep_samples{generator.info(), {{}, std::move(report)}};
    return ONESTEP_OK;
  });
}

onestep_status onestep_save(const char* file, const onestep_samples* samples, int columns) {
  return guarded([&] {
    required("samples", samples);
    save(required("file", file), samples->info, samples->result.samples, {.columns = columns});
    return ONESTEP_OK;
  });
}

onestep_status onestep_interpolate_seeds(const onestep_model* model, uint64_t first, uint64_t last, int frames,
                                         int draws, float* values, size_t* count) {
  return guarded([&] {
    required("count", count);
    const std::vector<float> noise =
        interpolate_seeds(required("model", model)->generator.info(), first, last, frames, draws);
    if (values && *count != noise.size()) {
      refuse("count = " + std::to_string(*count) + " must be that of the noise, " + std::to_string(noise.size()));
    }
    if (values) std::copy(noise.begin(), noise.end(), values);
    *count = noise.size();
    return ONESTEP_OK;
  });
}

onestep_status onestep_new_canvas(const onestep_model* model, const char* request,
                                  const onestep_canvas_options* options, onestep_canvas** canvas) {
  return guarded([&] {
    onestep_canvas*& place = place_of("canvas", canvas);
    const Generator& generator = required("model", model)->generator;
    const onestep_canvas_options given = read("options", options);
    CanvasOptions wanted;
    wanted.period_width = given.period_width;
    wanted.period_height = given.period_height;
    if (given.cache_bytes > 0) wanted.cache_bytes = given.cache_bytes;
    wanted.tile = given.tile;
    if (given.labels) {
      constexpr std::int64_t most = std::int64_t{1} << 24;  // so that the product is a number
      if (given.labels_width < 1 || given.labels_height < 1 || given.labels_width > most ||
          given.labels_height > most) {
        refuse("options.labels_width = " + std::to_string(given.labels_width) + " and options.labels_height = " +
               std::to_string(given.labels_height) + " must be in [1, " + std::to_string(most) + "]");
      }
      wanted.label_map = {
          std::vector<std::int64_t>(given.labels, given.labels + given.labels_width * given.labels_height),
          given.labels_width,
          given.labels_height,
          {given.x, given.y, given.width, given.height}};
    }
    place =
        new onestep_canvas{Canvas(generator, request_of_json(required("request", request), generator.info()), wanted)};
    return ONESTEP_OK;
  });
}

void onestep_free_canvas(onestep_canvas* canvas) { delete canvas; }

onestep_status onestep_canvas_report_of(const onestep_canvas* canvas, onestep_canvas_report* report) {
  return guarded([&] {
    const CanvasReport& known = required("canvas", canvas)->canvas.report();
    write("report", report,
          {sizeof(onestep_canvas_report), known.sampler.c_str(), known.nfe, known.exact ? 1 : 0, known.tile_width,
           known.tile_height, known.margin, known.multiple_width, known.multiple_height});
    return ONESTEP_OK;
  });
}

onestep_status onestep_region(const onestep_canvas* canvas, int64_t x, int64_t y, int64_t width, int64_t height,
                              float* values, size_t count, onestep_on_progress on_progress, void* user) {
  return guarded([&] {
    required("values", values);
    const ModelInfo& info = required("canvas", canvas)->canvas.info();
    // Before anything is drawn. What else is wrong with the rectangle, the canvas says.
    std::vector<std::int64_t> outer = info.data.shape;
    const bool line = info.data.modality == Modality::audio || info.data.modality == Modality::music;
    outer.resize(outer.size() - (line ? 1 : 2));
    constexpr std::int64_t most = std::int64_t{1} << 32;
    if (width >= 1 && height >= 1 && width <= most && height <= most) {
      auto row = static_cast<std::uint64_t>(width);
      for (const std::int64_t size : outer) row *= static_cast<std::uint64_t>(size);
      if (count % row != 0 || count / row != static_cast<std::uint64_t>(height)) {
        refuse("count = " + std::to_string(count) + " must be that of the values, " + std::to_string(row) + " x " +
               std::to_string(height));
      }
    }
    std::stop_source stop;
    const Region region =
        canvas->canvas.region({x, y, width, height}, listener(on_progress, user, stop), stop.get_token());
    if (region.stopped) return stopped_or_done(true);
    std::copy(region.values.begin(), region.values.end(), values);
    return ONESTEP_OK;
  });
}

onestep_status onestep_save_region(const char* file, const onestep_canvas* canvas, int64_t x, int64_t y, int64_t width,
                                   int64_t height, onestep_on_progress on_progress, void* user) {
  return guarded([&] {
    std::stop_source stop;
    const bool whole = save_region(required("file", file), required("canvas", canvas)->canvas, {x, y, width, height},
                                   {}, listener(on_progress, user, stop), stop.get_token());
    return stopped_or_done(!whole);
  });
}
