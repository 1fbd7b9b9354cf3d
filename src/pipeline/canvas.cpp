#include "onestep/canvas.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <optional>
#include <thread>

#include "conditions.hpp"
#include "lattice.hpp"
#include "leaving.hpp"
#include "noise.hpp"
#include "onestep/tensor/device.hpp"
#include "parts.hpp"
#include "patch_cache.hpp"
#include "plan.hpp"
#include "preconditioning.hpp"
#include "require.hpp"
#include "threads.hpp"
#include "torch_error.hpp"

namespace onestep {
namespace {

constexpr std::int64_t lowest = std::numeric_limits<std::int32_t>::min();
constexpr std::int64_t highest = std::numeric_limits<std::int32_t>::max();

/// Of an endless plane: every call reaches further around a tile.
constexpr std::int64_t most_calls = 8;

// Windows of a call. Few enough for a small region, enough for a small network to be fast.
constexpr std::int64_t group_side = 4;

Rectangle grown_to(const Axis& vertical, const Axis& horizontal, std::int64_t row, std::int64_t column,
                   std::int64_t call) {
  const auto begin = [&](const Axis& axis, std::int64_t group) {
    return group * axis.group * axis.step + axis.shift(call) - axis.margin;
  };
  const auto size = [](const Axis& axis) { return (axis.group - 1) * axis.step + axis.window; };
  return {begin(horizontal, column), begin(vertical, row), size(horizontal), size(vertical)};
}

/// The groups of windows that count for some of a stretch.
struct Groups {
  std::int64_t first = 0, last = 0;
  std::int64_t count() const { return last - first + 1; }
};

Groups groups_of(const Axis& axis, std::int64_t begin, std::int64_t size, std::int64_t call) {
  const std::int64_t shift = axis.shift(call);
  return {floor_divide(axis.first_window(begin, shift), axis.group),
          floor_divide(axis.last_window(begin + size, shift), axis.group)};
}

/// All that the regions of a canvas share.
struct Plane {
  Plane(std::shared_ptr<const Model> model, const Request& request, const CanvasOptions& options);

  std::shared_ptr<const Model> model;
  Request request;
  Axis vertical, horizontal;
  std::vector<std::int64_t> leading;  ///< Sizes of a sample before those of the plane: [C], [C, T] or [4, pitches].
  bool line = false;                  ///< A sample has one size more, not two.
  Plan plan;
  Condition condition;  ///< Of the windows of a call, where no labels are painted.
  std::optional<LabelMap> painted;
  /// Of an edit, at its place: what the first sample is added to, and a mask of what stays; undefined where none does.
  Rectangle place_of_edit;
  Tensor known, mask;
  CanvasReport report;
  mutable PatchCache cache;

  bool has_end() const { return horizontal.period > 0 && (line || vertical.period > 0); }
  bool drawn_at_once() const { return plan.calls > most_calls; }
  /// Of the windows of a call that are made of a rectangle.
  Condition condition_at(const Rectangle& r) const;
  /// [1, ...leading, height, width].
  std::vector<std::int64_t> shape_of(std::int64_t height, std::int64_t width) const;

 private:
  void require_request() const;
  void require_painted() const;
  void cut(const CanvasOptions& options);
  void set_periods(const CanvasOptions& options);
  void require_calls() const;
  void take_edit(const CanvasEdit& edit);
};

void Plane::require_request() const {
  const ModelInfo& info = model->info;
  if (model->decoder) refuse(info.name + " has a decoder, whose pictures no canvas can join; draw single ones");
  for (const ConditionInfo& wanted : info.conditions) {
    if (wanted.kind == ConditionKind::image)
      refuse("condition " + wanted.name + " of " + info.name + " is a picture of one size; a canvas has none");
  }
  if (!std::holds_alternative<std::monostate>(request.edit))
    refuse("edit of a request is that of a sample; a canvas's is among its options");
  if (!request.noise.empty()) refuse("noise can't be given for a canvas: it belongs to the plane's places");
  if (!request.label_map.empty()) refuse("label_map of a request is that of a sample; a canvas's is among its options");
  if (!request.sizes.empty()) refuse("sizes can't be given for a canvas: it has no end");
  const auto require_one = [](const char* name, std::size_t count, const char* rule) {
    refuse(std::string(name) + " has " + std::to_string(count) + "; a canvas takes " + rule);
  };
  if (request.seeds.size() != 1) require_one("seeds", request.seeds.size(), "one");
  if (request.labels.size() > 1) require_one("labels", request.labels.size(), "one, or none");
  if (request.tokens.size() > 1) require_one("tokens", request.tokens.size(), "one text, or none");
}

void Plane::require_painted() const {
  const ModelInfo& info = model->info;
  const ConditionInfo* label = find_condition(info, ConditionKind::label);
  if (!label || !label->map) refuse("label_map: " + info.name + " takes no map of labels");
  if (!report.exact) refuse("label_map: " + info.name + " has no halo, and its windows have one label");
  if (!request.labels.empty()) refuse("label_map stands in place of a label: give one of them");
  require_whole("label_map.width", painted->width, 1, highest);
  require_whole("label_map.height", painted->height, 1, highest);
  require_whole("label_map.place.width", painted->place.width, 1, highest);
  require_whole("label_map.place.height", painted->place.height, 1, highest);
  require_whole("label_map.place.x", painted->place.x, lowest, highest);
  require_whole("label_map.place.y", painted->place.y, lowest, highest);
  const std::string size = std::to_string(painted->width) + " x " + std::to_string(painted->height);
  if (painted->labels.size() % static_cast<std::size_t>(painted->width) != 0 ||
      painted->labels.size() / static_cast<std::size_t>(painted->width) != static_cast<std::size_t>(painted->height))
    refuse("label_map has " + std::to_string(painted->labels.size()) + " labels; it takes " + size);
  for (std::size_t i = 0; i < painted->labels.size(); ++i) {
    if (painted->labels[i] < 0 || painted->labels[i] >= info.label_count)
      require_whole("label_map.labels[" + std::to_string(i) + "]", painted->labels[i], 0, info.label_count - 1);
  }
}

/// Of pixels from `begin` on, the places of `count` that are spread over `size` pixels from `first` on.
std::vector<std::int64_t> places_in_map(const Axis& axis, std::int64_t begin, std::int64_t pixels, std::int64_t first,
                                        std::int64_t size, std::int64_t count) {
  std::vector<std::int64_t> places;
  for (std::int64_t i = begin; i < begin + pixels; ++i) {
    const std::int64_t pixel = axis.period > 0 ? floor_modulo(i, axis.period) : i;
    places.push_back(std::clamp<std::int64_t>(pixel - first, 0, size - 1) * count / size);
  }
  return places;
}

Condition Plane::condition_at(const Rectangle& r) const {
  if (!painted) return condition;
  const Rectangle& place = painted->place;
  const auto rows = places_in_map(vertical, r.y, r.height, place.y, place.height, painted->height);
  const auto columns = places_in_map(horizontal, r.x, r.width, place.x, place.width, painted->width);
  Condition here = condition;
  here.label = torch::empty({1, r.height, r.width}, torch::kInt64);
  auto* label = here.label.mutable_data_ptr<std::int64_t>();
  for (const std::int64_t row : rows) {
    for (const std::int64_t column : columns)
      *label++ = painted->labels[static_cast<std::size_t>(row * painted->width + column)];
  }
  return here;
}

void Plane::cut(const CanvasOptions& options) {
  const SampleSpace& space = model->info.sample;
  line = space.shape.size() == 2 || model->info.data.modality == Modality::music;
  const std::size_t last = space.shape.size() - 1;
  leading.assign(space.shape.begin(), space.shape.end() - (line ? 1 : 2));
  const auto is_free = [&](std::size_t i) { return !space.sizes[i].name.empty() && space.sizes[i].number == 1; };
  report.exact = space.halo && is_free(last) && (line || is_free(last - 1));
  if (!report.exact && options.tile != 0)
    refuse("tile = " + std::to_string(options.tile) + ": " + model->info.name +
           " has no halo; its windows have the model's own size");

  const auto cut_axis = [&](std::size_t i, std::int64_t group) -> Axis {
    Axis axis{.window = space.shape[i], .step = std::max<std::int64_t>(space.shape[i] / 2, 1), .group = group};
    if (!report.exact) return axis;
    const auto found = space.multiples.find(space.sizes[i].name);
    const std::int64_t multiple = found == space.multiples.end() ? 1 : found->second;
    const std::int64_t usual = line ? space.shape[i] : 640;
    const std::int64_t tile = options.tile != 0 ? options.tile : round_up(std::max(usual, 3 * *space.halo), multiple);
    if (tile < multiple || tile > 1 << 16 || tile % multiple != 0) {
      refuse("tile = " + std::to_string(tile) + " must be a multiple of " + std::to_string(multiple) + " in [" +
             std::to_string(multiple) + ", 65536]");
    }
    axis.margin = round_up(*space.halo, multiple);
    axis.window = tile + 2 * axis.margin;
    axis.step = tile;
    axis.group = 1;
    request.sizes[space.sizes[i].name] = axis.window;
    return axis;
  };
  // Windows of a sound are small; those of music are as large as a picture's.
  horizontal = cut_axis(last, space.shape.size() == 2 ? group_side * group_side : group_side);
  if (!line) vertical = cut_axis(last - 1, group_side);
}

/// Windows that overlap by a half or up to three quarters, and come to their beginning after a period.
std::optional<std::int64_t> step_within(std::int64_t window, std::int64_t period) {
  for (std::int64_t step = std::max<std::int64_t>(window / 2, 1); 4 * step >= window; --step) {
    if (period % step == 0) return step;
  }
  return {};
}

void Plane::set_periods(const CanvasOptions& options) {
  const SampleSpace& space = model->info.sample;
  const auto set = [&](const char* name, Axis& axis, std::int64_t& multiple, std::int64_t period,
                       std::size_t from_end) {
    const auto found = space.multiples.find(space.sizes[space.sizes.size() - from_end].name);
    multiple = !report.exact ? axis.step : found == space.multiples.end() ? 1 : found->second;
    const bool in_range = period >= 0 && period <= highest;
    const std::optional<std::int64_t> step =
        report.exact || period == 0 || !in_range ? std::nullopt : step_within(axis.window, period);
    if (!in_range || (!step && period % multiple != 0)) {
      const std::int64_t below = std::clamp<std::int64_t>(period, 0, highest) / multiple * multiple;
      refuse(std::string(name) + " = " + std::to_string(period) + " must be 0 or a multiple of " +
             std::to_string(multiple) + " with " + model->info.name + ", such as " +
             std::to_string(std::max(below, multiple)) + (below > 0 ? " or " + std::to_string(below + multiple) : ""));
    }
    if (step) axis.step = *step;
    axis.period = period;
  };
  set("period_width", horizontal, report.multiple_width, options.period_width, 1);
  if (!line) return set("period_height", vertical, report.multiple_height, options.period_height, 2);
  if (options.period_height != 0)
    refuse("period_height = " + std::to_string(options.period_height) + ": a line has a width alone");
}

void Plane::require_calls() const {
  if (!drawn_at_once()) return;
  const std::string calls = plan.name + " of " + std::to_string(plan.calls) + " network calls";
  if (!has_end()) {
    refuse(calls + " can't run on an endless plane, where each reaches further; take a sampler of at most " +
           std::to_string(most_calls) + ", or a period (a seamless picture)");
  }
  double values = static_cast<double>(horizontal.period) * static_cast<double>(line ? 1 : vertical.period);
  for (const std::int64_t size : leading) values *= static_cast<double>(size);
  if (values > 1 << 28) {
    refuse(calls + " draw all of a period at once, of at most 2^28 values; " + std::to_string(horizontal.period) +
           (line ? "" : " x " + std::to_string(vertical.period)) + " pixels are more");
  }
}

void require_rectangle(const Rectangle& r, const Plane& plane) {
  const auto require_side = [](const char* place_name, std::int64_t place, const char* size_name, std::int64_t size) {
    require_whole(place_name, place, lowest, highest);
    require_whole(size_name, size, 1, highest);
    if (place + size - 1 > highest)
      refuse(std::string(place_name) + " + " + size_name + " = " + std::to_string(place + size) +
             " must be at most 2^31; no plane goes further");
  };
  require_side("x", r.x, "width", r.width);
  if (plane.line && (r.y != 0 || r.height != 1)) refuse("a line has y = 0 and height 1");
  require_side("y", r.y, "height", r.height);
  double values = static_cast<double>(r.width) * static_cast<double>(r.height);
  for (const std::int64_t size : plane.leading) values *= static_cast<double>(size);
  if (values > std::exp2(31)) {
    refuse(std::to_string(r.width) + " x " + std::to_string(r.height) +
           " pixels are more than 2^31 values; ask for them in parts");
  }
}

std::vector<std::int64_t> Plane::shape_of(std::int64_t height, std::int64_t width) const {
  std::vector<std::int64_t> shape{1};
  shape.insert(shape.end(), leading.begin(), leading.end());
  shape.insert(shape.end(), {height, width});
  return shape;
}

void Plane::take_edit(const CanvasEdit& edit) {
  const Rectangle& r = place_of_edit = edit.place;
  require_rectangle(r, *this);
  const auto require_inside = [](const char* name, std::int64_t begin, std::int64_t size, std::int64_t period) {
    if (period > 0 && (begin < 0 || begin + size > period)) {
      refuse(std::string("edit.place reaches from ") + name + " = " + std::to_string(begin) + " to " +
             std::to_string(begin + size) + "; it must lie within the period, 0 to " + std::to_string(period));
    }
  };
  require_inside("x", r.x, r.width, horizontal.period);
  if (!line) require_inside("y", r.y, r.height, vertical.period);
  // All that can be wrong with an edit is refused as of a sample of the place's size.
  Plan of_place = plan;
  of_place.sample_shape = leading;
  if (!line) of_place.sample_shape.push_back(r.height);
  of_place.sample_shape.push_back(r.width);
  plan_edit(of_place, edit.edit, model->info);
  const auto laid_out = [&](const std::vector<float>& values) {
    return torch::from_blob(const_cast<float*>(values.data()), shape_of(r.height, r.width)).clone();
  };
  if (const auto* inpaint = std::get_if<Inpaint>(&edit.edit)) {
    mask = laid_out(inpaint->mask) != 0;
    known = torch::where(mask, laid_out(inpaint->sample), torch::zeros(1));
  } else if (const auto* stroke = std::get_if<Stroke>(&edit.edit)) {
    known = laid_out(stroke->guide);
  } else {
    refuse("edit of a canvas must be Inpaint or Stroke");
  }
}

Plane::Plane(std::shared_ptr<const Model> of, const Request& asked, const CanvasOptions& options)
    : model(std::move(of)), request(asked), painted(options.label_map), cache(options.cache_bytes) {
  require_request();
  cut(options);
  if (painted) require_painted();
  set_periods(options);
  const ModelInfo& info = model->info;
  plan = make_plan(request, info);
  require_calls();
  if (options.edit) take_edit(*options.edit);
  const auto windows = static_cast<std::size_t>(vertical.group * horizontal.group);
  Rows rows = rows_of(request, info, 0, 1);
  rows.seeds.assign(windows, rows.seeds.front());
  if (!rows.labels.empty()) rows.labels.assign(windows, rows.labels.front());
  const torch::InferenceMode guard;
  condition = condition_of(*model, request, rows, plan.guidance);
  report.sampler = plan.name;
  report.levels = plan.levels;
  if (!rows.labels.empty() && !painted) report.label = rows.labels.front();
  report.nfe = nfe(plan, info);
  report.whole_period = drawn_at_once();
  report.window_width = horizontal.window;
  report.window_height = vertical.window;
  report.margin = horizontal.margin;
  report.tile_width = horizontal.step * horizontal.group;
  report.tile_height = vertical.step * vertical.group;
}

Tensor narrowed(const Tensor& x, std::int64_t top, std::int64_t left, std::int64_t height, std::int64_t width) {
  return x.narrow(-2, top, height).narrow(-1, left, width);
}

/// A region on its way. Planes are [1, ...leading, height, width], on the CPU; of a line, height is 1.
class RegionDrawing {
 public:
  RegionDrawing(const Plane& plane, const OnProgress& on_progress, std::stop_token stop)
      : plane_(plane), on_progress_(on_progress), stop_(std::move(stop)) {}

  Tensor draw(const Rectangle& rectangle) {
    const std::int64_t calls = plane_.plan.calls;
    progress_.samples = 1;
    progress_.calls = calls_for(rectangle);
    Tensor values;
    if (plane_.drawn_at_once()) {
      values = wrapped(plane_.cache.get({-1, 0, 0}, [&] { return whole_period(); }), rectangle);
    } else if (plane_.report.exact) {
      values = denoised(calls - 1, rectangle);
    } else {
      values = sampled(rectangle, calls, [&](const Tensor&, double, double) -> Tensor { refuse_calls(); }).cpu();
    }
    progress_.samples_done = 1;
    progress_.calls_done = progress_.calls;
    tell(on_progress_, progress_);
    return values;
  }

 private:
  using Patches = std::function<Tensor(std::int64_t row, std::int64_t column)>;

  [[noreturn]] void refuse_calls() const {
    refuse("sampler " + plane_.plan.name + " made another number of network calls than the " +
           std::to_string(plane_.plan.calls) + " that it said");
  }

  /// Those made if the cache has nothing.
  std::int64_t calls_for(Rectangle r) const {
    if (plane_.drawn_at_once()) {
      const Groups down = groups_of(plane_.vertical, 0, std::max<std::int64_t>(plane_.vertical.period, 1), 0);
      const Groups across = groups_of(plane_.horizontal, 0, plane_.horizontal.period, 0);
      return plane_.plan.calls * down.count() * across.count();
    }
    std::int64_t calls = 0;
    for (std::int64_t call = plane_.plan.calls; call-- > 0;) {
      const Groups down = groups_of(plane_.vertical, r.y, r.height, call);
      const Groups across = groups_of(plane_.horizontal, r.x, r.width, call);
      calls += down.count() * across.count();
      const Rectangle first = grown_to(plane_.vertical, plane_.horizontal, down.first, across.first, call);
      const Rectangle last = grown_to(plane_.vertical, plane_.horizontal, down.last, across.last, call);
      r = {first.x, first.y, last.x + last.width - first.x, last.y + last.height - first.y};
    }
    return calls;
  }

  /// Draw `draw` of the plane's noise.
  Tensor noise(std::uint32_t draw, const Rectangle& r) const {
    Tensor z = torch::empty(plane_.shape_of(r.height, r.width));
    float* values = z.mutable_data_ptr<float>();
    const std::int64_t layers = z.numel() / (r.height * r.width);
    const std::vector<Piece> across = pieces_of(r.x, r.x + r.width, plane_.horizontal.period);
    const std::int64_t rows = layers * r.height;
    // Taken by a few at a time, so that a thread that is not running holds up none of the others.
    std::atomic<std::int64_t> next = 0;
    const auto take_rows = [&] {
      constexpr std::int64_t together = 16;
      for (std::int64_t begin; (begin = next.fetch_add(together)) < rows;) {
        for (std::int64_t row = begin; row < std::min(begin + together, rows); ++row) {
          const auto layer = static_cast<std::uint32_t>(draw * layers + row / r.height);
          std::int64_t y = r.y + row % r.height;
          if (plane_.vertical.period > 0) y = floor_modulo(y, plane_.vertical.period);
          for (const Piece& piece : across) {
            plane_noise(plane_.request.seeds.front(), layer, piece.begin, y,
                        {values + row * r.width + piece.offset, static_cast<std::size_t>(piece.end - piece.begin)});
          }
        }
      }
    };
    constexpr std::int64_t worth_a_thread = 1 << 16;  // numbers, of 20 ns each
    const std::int64_t helpers = std::min<std::int64_t>(threads(), z.numel() / worth_a_thread) - 1;
    std::vector<std::jthread> helping;
    for (std::int64_t i = 0; i < helpers; ++i) helping.emplace_back(take_rows);
    take_rows();
    helping.clear();
    return z;
  }

  /// The sampler on a rectangle. Its first calls of the network, `known` of them, are known already, and others made by
  /// `call`.
  Tensor sampled(const Rectangle& r, std::int64_t known, const FlowMapFunction& call) {
    std::int64_t calls = 0;
    return sampled(r, [&](const Tensor& x, double sigma, double target) {
      const std::int64_t k = calls++;
      return k < known ? on_device(denoised(k, r), plane_.model->device) : call(x, sigma, target);
    });
  }

  /// Editing (Song et al. 2023, Algorithm 4) where some of the plane is known: a value of it depends on none beside it,
  /// so that what a sampler does with all of a plane is done with any rectangle.
  Tensor sampled(const Rectangle& r, const FlowMapFunction& call) {
    const torch::Device device = plane_.model->device;
    const NoiseSource z = [&](std::uint32_t draw) { return on_device(noise(draw, r), device); };
    Tensor start = initial_scale(plane_.model->info, plane_.plan.levels.front()) * z(0);
    if (!plane_.known.defined()) return plane_.plan.sample(call, start, z);
    const Tensor known = on_device(at(plane_.known, r), device);
    start = start + known;
    if (!plane_.mask.defined()) return plane_.plan.sample(call, start, z);
    const Tensor mask = on_device(at(plane_.mask, r), device);
    const FlowMapFunction put_back = [&](const Tensor& x, double sigma, double target) {
      return torch::where(mask, known, call(x, sigma, target));
    };
    return plane_.plan.sample(put_back, start, z);
  }

  /// Of a rectangle, what an edit has for it; 0 beyond its place.
  Tensor at(const Tensor& of_edit, const Rectangle& r) const {
    Tensor values = torch::zeros(plane_.shape_of(r.height, r.width), of_edit.options());
    const Rectangle& place = plane_.place_of_edit;
    const auto common = [](const Piece& piece, std::int64_t begin, std::int64_t size) -> Piece {
      const std::int64_t from = std::max(piece.begin, begin), to = std::min(piece.end, begin + size);
      return {from, std::max(from, to), piece.offset + from - piece.begin};
    };
    for (const Piece& rows : pieces_of(r.y, r.y + r.height, plane_.vertical.period)) {
      for (const Piece& columns : pieces_of(r.x, r.x + r.width, plane_.horizontal.period)) {
        const Piece down = common(rows, place.y, place.height), across = common(columns, place.x, place.width);
        const std::int64_t height = down.end - down.begin, width = across.end - across.begin;
        if (height == 0 || width == 0) continue;
        narrowed(values, down.offset, across.offset, height, width)
            .copy_(narrowed(of_edit, down.begin - place.y, across.begin - place.x, height, width));
      }
    }
    return values;
  }

  /// The denoised samples of the windows of a group, [windows, ...leading, window, window], of x over the group, which
  /// lies at `place`.
  Tensor denoised_windows(const Tensor& x, double sigma, double target, const Rectangle& place) {
    if (stop_.stop_requested()) throw Stopped{};
    const Axis &down = plane_.vertical, &across = plane_.horizontal;
    std::vector<Tensor> windows;
    for (std::int64_t row = 0; row < down.group; ++row) {
      for (std::int64_t column = 0; column < across.group; ++column)
        windows.push_back(narrowed(x, row * down.step, column * across.step, down.window, across.window));
    }
    Tensor samples = torch::cat(windows);
    if (plane_.line) samples = samples.squeeze(-2);
    const Denoiser denoiser(*plane_.model->network, plane_.model->info, plane_.condition_at(place));
    Tensor denoised = denoiser(samples, sigma, target);
    if (plane_.line) denoised = denoised.unsqueeze(-2);
    if (progress_.calls_done + 1 < progress_.calls) ++progress_.calls_done;
    tell(on_progress_, progress_);
    return denoised;
  }

  Tensor without_margin(const Tensor& windows) const {
    const Axis &down = plane_.vertical, &across = plane_.horizontal;
    return narrowed(windows, down.margin, across.margin, down.kept(), across.kept()).cpu().contiguous();
  }

  /// What network call k gives for a group of windows; of the last call of a model with a halo, what the sampler makes
  /// of it: the finished tile.
  Tensor patch(std::int64_t k, std::int64_t row, std::int64_t column) {
    const Rectangle r = grown_to(plane_.vertical, plane_.horizontal, row, column, k);
    if (plane_.report.exact && k == plane_.plan.calls - 1) {
      std::int64_t calls = 0;
      const Tensor finished = sampled(r, k, [&](const Tensor& x, double sigma, double target) {
        if (calls++ > 0) refuse_calls();
        return denoised_windows(x, sigma, target, r);
      });
      if (calls != 1) refuse_calls();
      return without_margin(finished);
    }
    struct Reached {
      Tensor windows;
    };
    try {
      sampled(r, k, [&](const Tensor& x, double sigma, double target) -> Tensor {
        throw Reached{denoised_windows(x, sigma, target, r)};
      });
    } catch (const Reached& reached) {
      return without_margin(reached.windows);
    }
    refuse_calls();
  }

  Tensor denoised(std::int64_t k, const Rectangle& r) {
    return joined(k, r, [&](std::int64_t row, std::int64_t column) {
      return plane_.cache.get({k, row, column}, [&] { return patch(k, row, column); });
    });
  }

  /// A rectangle of the windows of network call k.
  Tensor joined(std::int64_t k, const Rectangle& r, const Patches& patches) const {
    Tensor values = torch::empty(plane_.shape_of(r.height, r.width));
    for (const Piece& down : pieces_of(r.y, r.y + r.height, plane_.vertical.period)) {
      for (const Piece& across : pieces_of(r.x, r.x + r.width, plane_.horizontal.period)) {
        Tensor part = narrowed(values, down.offset, across.offset, down.end - down.begin, across.end - across.begin);
        join_piece(k, down, across, patches, part);
      }
    }
    return values;
  }

  /// The part of a window that counts within a piece.
  struct Part {
    std::int64_t group, place;  ///< Whose window it is.
    std::int64_t from, to;      ///< Where it begins in the window and in the piece.
    std::int64_t size;
  };

  static std::vector<Part> parts_of(const Axis& axis, const Piece& piece, std::int64_t k) {
    const std::int64_t shift = axis.shift(k);
    std::vector<Part> parts;
    for (std::int64_t i = axis.first_window(piece.begin, shift); i <= axis.last_window(piece.end, shift); ++i) {
      const std::int64_t start = i * axis.step + shift;
      const std::int64_t begin = std::max(start, piece.begin), end = std::min(start + axis.kept(), piece.end);
      const std::int64_t window = axis.canonical(i);
      parts.push_back({floor_divide(window, axis.group), floor_modulo(window, axis.group), begin - start,
                       begin - piece.begin, end - begin});
    }
    return parts;
  }

  void join_piece(std::int64_t k, const Piece& down, const Piece& across, const Patches& patches,
                  Tensor& values) const {
    // Each part of a window, and where it belongs.
    const auto for_each_part = [&](const auto& take) {
      for (const Part& row : parts_of(plane_.vertical, down, k)) {
        for (const Part& column : parts_of(plane_.horizontal, across, k)) {
          const Tensor windows = patches(row.group, column.group);
          take(row, column,
               narrowed(windows.narrow(0, row.place * plane_.horizontal.group + column.place, 1), row.from, column.from,
                        row.size, column.size),
               narrowed(values, row.to, column.to, row.size, column.size));
        }
      }
    };
    if (plane_.report.exact) {
      for_each_part([](const Part&, const Part&, const Tensor& window, Tensor here) { here.copy_(window); });
      return;
    }
    const Tensor heights = torch::tensor(plane_.vertical.weights()).unsqueeze(1);
    const Tensor widths = torch::tensor(plane_.horizontal.weights());
    Tensor total = torch::zeros({down.end - down.begin, across.end - across.begin});
    values.zero_();
    for_each_part([&](const Part& row, const Part& column, const Tensor& window, Tensor here) {
      const Tensor weight = heights.narrow(0, row.from, row.size) * widths.narrow(0, column.from, column.size);
      here.add_(window * weight);
      narrowed(total, row.to, column.to, row.size, column.size).add_(weight);
    });
    values.div_(total);
  }

  /// The sampler on all of a period at once.
  Tensor whole_period() {
    const torch::Device device = plane_.model->device;
    const Rectangle all{0, 0, plane_.horizontal.period, std::max<std::int64_t>(plane_.vertical.period, 1)};
    std::int64_t calls = 0;
    const FlowMapFunction f = [&](const Tensor& x, double sigma, double target) {
      const std::int64_t k = calls++;
      const Tensor here = x.cpu();
      std::map<std::pair<std::int64_t, std::int64_t>, Tensor> made;
      const Patches patches = [&](std::int64_t row, std::int64_t column) {
        Tensor& windows = made[{row, column}];
        if (!windows.defined()) {
          const Rectangle place = grown_to(plane_.vertical, plane_.horizontal, row, column, k);
          const Tensor part = wrapped(here, place);
          windows = without_margin(denoised_windows(on_device(part, device), sigma, target, place));
        }
        return windows;
      };
      return on_device(joined(k, all, patches), device);
    };
    return sampled(all, f).cpu();
  }

  /// A rectangle of a plane of which one period is given.
  Tensor wrapped(const Tensor& period, const Rectangle& r) const {
    const auto places = [](std::int64_t begin, std::int64_t size, std::int64_t of) {
      return torch::arange(begin, begin + size).remainder(of);
    };
    return period.index_select(-2, places(r.y, r.height, period.size(-2)))
        .index_select(-1, places(r.x, r.width, period.size(-1)));
  }

  const Plane& plane_;
  const OnProgress& on_progress_;
  std::stop_token stop_;
  Progress progress_;
};

}  // namespace

struct Canvas::Parts : Plane {
  using Plane::Plane;
};

Canvas::Canvas(const Generator& generator, const Request& request, const CanvasOptions& options)
    : parts_(
          translated(generator.file(), [&] { return std::make_unique<Parts>(generator.parts_, request, options); })) {}
Canvas::Canvas(Canvas&&) noexcept = default;
Canvas& Canvas::operator=(Canvas&&) noexcept = default;
Canvas::~Canvas() = default;

const ModelInfo& Canvas::info() const noexcept { return parts_->model->info; }

const CanvasReport& Canvas::report() const noexcept { return parts_->report; }

Region Canvas::region(const Rectangle& rectangle, const OnProgress& on_progress, std::stop_token stop) const {
  require_rectangle(rectangle, *parts_);
  Region region;
  region.shape = parts_->leading;
  if (!parts_->line) region.shape.push_back(rectangle.height);
  region.shape.push_back(rectangle.width);
  try {
    translated(parts_->model->file, [&] {
      const torch::InferenceMode guard;
      const Tensor values = RegionDrawing(*parts_, on_progress, std::move(stop)).draw(rectangle).contiguous();
      const float* begin = values.const_data_ptr<float>();
      region.values.assign(begin, begin + values.numel());
    });
  } catch (const Stopped&) {
    region.stopped = true;
    return region;
  } catch (const ThrownByCaller& thrown) {
    std::rethrow_exception(thrown.exception);
  }
  if (!std::all_of(region.values.begin(), region.values.end(), [](float v) { return std::isfinite(v); })) {
    throw NumericalError(parts_->model->file + ": NaN or infinity on the plane of seed " +
                             std::to_string(parts_->request.seeds.front()) +
                             "; onestep inspect --check tests the model",
                         parts_->request.seeds);
  }
  return region;
}

}  // namespace onestep
