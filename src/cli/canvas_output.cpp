#include "canvas_output.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "arguments.hpp"
#include "onestep/request_json.hpp"
#include "output_file.hpp"
#include "picture_file.hpp"
#include "request_part.hpp"
#include "require.hpp"
#include "seconds_since.hpp"

namespace onestep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr int tile_side = 256;  // what viewers of maps take

/// "-1200,40". Nothing where it is none.
std::optional<std::pair<std::int64_t, std::int64_t>> parse_place(const std::string& text) {
  const std::size_t comma = std::min(text.find(','), text.size());
  const auto whole = [](std::string number) -> std::optional<std::int64_t> {
    const bool negative = number.starts_with('-');
    const auto value = parse_whole(number.substr(negative));
    if (!value || *value > std::uint64_t{1} << 31) return {};
    return negative ? -static_cast<std::int64_t>(*value) : static_cast<std::int64_t>(*value);
  };
  const auto x = whole(text.substr(0, comma)), y = whole(text.substr(std::min(comma + 1, text.size())));
  if (!x || !y) return {};
  return std::pair(*x, *y);
}

/// "-1200,40,640x480"
Rectangle parse_rectangle(const std::string& text) {
  const std::size_t comma = std::min(text.rfind(','), text.size());
  const auto place = parse_place(text.substr(0, comma));
  if (!place)
    refuse("--label-map-place " + text + " must be X,Y,WIDTHxHEIGHT, whole numbers, such as -1200,40,640x480");
  const auto [width, height] = parse_extent(text.substr(std::min(comma + 1, text.size())), "--label-map-place");
  return {place->first, place->second, width, height};
}

/// The colour that stands for a label: hues as far from each other as can be, however many there are, in three
/// brightnesses.
std::array<int, 3> colour_of_label(std::int64_t label) {
  constexpr double golden = 0.6180339887498949;
  const double hue = 6 * std::fmod(golden * static_cast<double>(label), 1.0);
  const double value = std::array{255.0, 190.0, 125.0}[static_cast<std::size_t>(label % 3)];
  const auto channel = [&](double at) {
    const double distance = std::abs(std::remainder(hue - at, 6.0));
    return static_cast<int>(std::lround(value * std::clamp(2 - distance, 0.0, 1.0)));
  };
  return {channel(0), channel(2), channel(4)};
}

/// Each pixel has the label whose colour is nearest to it.
LabelMap read_label_map(const std::string& file, const Rectangle& place, const ModelInfo& info) {
  const PictureValues picture = read_picture(file);
  LabelMap map{.labels = {}, .width = picture.width, .height = picture.height, .place = place};
  std::vector<std::array<int, 3>> colours;
  for (std::int64_t label = 0; label < info.label_count; ++label) colours.push_back(colour_of_label(label));
  for (std::size_t i = 0; i < picture.values.size(); i += static_cast<std::size_t>(picture.channels)) {
    const auto distance = [&](const std::array<int, 3>& colour) {
      double sum = 0;
      for (std::size_t c = 0; c < 3; ++c)
        sum += std::pow(255.0 * picture.values[i + (picture.channels == 3 ? c : 0)] - colour[c], 2);
      return sum;
    };
    const auto nearest = std::min_element(colours.begin(), colours.end(),
                                          [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
    map.labels.push_back(nearest - colours.begin());
  }
  return map;
}

/// The tiles of a picture at all scales, each of four of the next: z/x/y.png, z = 0 all of it in one.
class TilePyramid {
 public:
  TilePyramid(const Canvas& canvas, const Rectangle& all, std::string folder, PictureTexts texts)
      : canvas_(canvas),
        all_(all),
        folder_(std::move(folder)),
        texts_(std::move(texts)),
        columns_((all.width - 1) / tile_side + 1),
        rows_((all.height - 1) / tile_side + 1) {
    while (std::int64_t{1} << deepest_ < std::max(columns_, rows_)) ++deepest_;
  }

  std::int64_t count() const {
    std::int64_t count = 0;
    for (int z = 0; z <= deepest_; ++z) count += across(columns_, z) * across(rows_, z);
    return count;
  }

  /// false: stopped.
  bool write(const std::function<void()>& on_tile, const OnProgress& on_progress, std::stop_token stop) {
    return drawn(0, 0, 0, on_tile, on_progress, stop).has_value();
  }

 private:
  std::int64_t across(std::int64_t tiles, int z) const { return (tiles - 1) / (std::int64_t{1} << (deepest_ - z)) + 1; }

  std::optional<Picture> drawn(int z, std::int64_t x, std::int64_t y, const std::function<void()>& on_tile,
                               const OnProgress& on_progress, const std::stop_token& stop) {
    Picture picture;
    if (z == deepest_) {
      const Region region =
          canvas_.region({all_.x + x * tile_side, all_.y + y * tile_side, tile_side, tile_side}, on_progress, stop);
      if (region.stopped) return {};
      const DataSpace& data = canvas_.info().data;
      picture = to_picture(region.values, region.shape, data.range_low, data.range_high);
    } else {
      Picture four = blank_picture(2 * tile_side, 2 * tile_side, static_cast<int>(canvas_.info().data.shape[0]));
      for (int part = 0; part < 4; ++part) {
        const std::int64_t column = 2 * x + part % 2, row = 2 * y + part / 2;
        if (column >= across(columns_, z + 1) || row >= across(rows_, z + 1)) continue;
        const std::optional<Picture> quarter = drawn(z + 1, column, row, on_tile, on_progress, stop);
        if (!quarter) return {};
        paste(four, *quarter, part % 2 * tile_side, part / 2 * tile_side);
      }
      picture = halved(four);
    }
    const fs::path folder = fs::path(folder_) / std::to_string(z) / std::to_string(x);
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) throw Error(ErrorKind::file, folder.string() + ": the folder can't be made: " + error.message());
    write_file((folder / (std::to_string(y) + ".png")).string(), encode_png(picture, texts_));
    on_tile();
    return picture;
  }

  /// The mean of every four pixels.
  static Picture halved(const Picture& picture) {
    Picture half = blank_picture(picture.width / 2, picture.height / 2, picture.channels);
    const auto at = [&](int x, int y, int c) {
      return picture.pixels[(std::size_t(y) * picture.width + x) * picture.channels + c];
    };
    for (int y = 0; y < half.height; ++y) {
      for (int x = 0; x < half.width; ++x) {
        for (int c = 0; c < half.channels; ++c) {
          const int sum =
              at(2 * x, 2 * y, c) + at(2 * x + 1, 2 * y, c) + at(2 * x, 2 * y + 1, c) + at(2 * x + 1, 2 * y + 1, c);
          half.pixels[(std::size_t(y) * half.width + x) * half.channels + c] = static_cast<std::uint8_t>((sum + 2) / 4);
        }
      }
    }
    return half;
  }

  const Canvas& canvas_;
  Rectangle all_;
  std::string folder_;
  PictureTexts texts_;
  std::int64_t columns_, rows_;
  int deepest_ = 0;
};

/// A picture that is drawn in bands, some of them by this process: they lie in a folder, a file each, until all of them
/// are there. A band is float32, as Canvas::region has it.
class BandedPicture {
 public:
  BandedPicture(const BulkTask& task, const Canvas& canvas, const Request& request, const Json& canvas_facts,
                const std::string& file, const Rectangle& rectangle)
      : canvas_(canvas), file_(file), rectangle_(rectangle), bands_(bands_of(canvas, rectangle)) {
    Json facts = facts_of({task.generator, request, task.hash, task.arguments, task.device, task.compiled, task.quiet},
                          "bands of " + fs::path(file).extension().string());
    facts["canvas"] = canvas_facts;
    run_.folder = folder_of_parts(file);
    run_.facts = std::move(facts);
    run_.shard = task.arguments.part();
    run_.count = bands_.size();
    run_.place = [seed = request.seeds.front()](std::size_t band) { return ItemPlace{seed, name_of_part(band)}; };
  }

  /// This process's bands that are not there. bar: shows them, and afterwards how far the other ranks are. false:
  /// stopped.
  bool draw(bool resume, bool quiet, Progress progress, std::optional<RunBar>& bar, Interrupt& interrupt) {
    run_.checked = [&] {
      interrupt.poll();
      if (interrupt.token().stop_requested()) throw StoppedByUser{run_.folder + " is as it was"};
    };
    SampleFolder folder(run_, resume);
    const std::vector<std::size_t> missing = folder.missing_blocks();
    bar.emplace(folder, 1, 0, quiet);
    progress.calls = static_cast<std::int64_t>(missing.size());
    for (const std::size_t band : missing) {
      const Region region = canvas_.region(
          bands_[band], [&](const Progress&) { interrupt.poll(); }, interrupt.token());
      if (region.stopped) return false;
      folder.add({{band, std::nullopt, false}}, [&](std::size_t) {
        const auto bytes = std::as_bytes(std::span(region.values));
        return std::vector<std::byte>(bytes.begin(), bytes.end());
      });
      ++progress.calls_done;
      bar->show(progress);
    }
    return true;
  }

  /// When this process has drawn its own. false: it is for another to finish it.
  bool finish(const SaveOptions& options, std::optional<RunBar>& bar) {
    if (!ends_run(run_, [&] { bar->show_again(); })) return false;
    const auto band = [&](std::size_t i) {
      const std::string part = run_.folder + "/" + run_.place(i).file;
      std::ifstream stream(part, std::ios::binary);
      std::vector<float> values(static_cast<std::size_t>(canvas_.info().data.shape[0] * bands_[i].height) *
                                static_cast<std::size_t>(bands_[i].width));
      if (!stream.read(reinterpret_cast<char*>(values.data()),
                       static_cast<std::streamsize>(values.size() * sizeof(float))))
        throw Error(ErrorKind::file, part + ": can't be read");
      return values;
    };
    save_bands(file_, canvas_, rectangle_, band, options);
    std::error_code left;
    fs::remove_all(run_.folder, left);
    return true;
  }

 private:
  const Canvas& canvas_;
  std::string file_;
  Rectangle rectangle_;
  std::vector<Rectangle> bands_;
  SampleFolder::Run run_;
};

}  // namespace

std::string colour_text(std::int64_t label) {
  std::array<char, 8> text{};
  const auto [red, green, blue] = colour_of_label(label);
  std::snprintf(text.data(), text.size(), "#%02x%02x%02x", red, green, blue);
  return text.data();
}

std::vector<std::string> list_of_label_colours(const ModelInfo& info) {
  const ConditionInfo* label = find_condition(info, ConditionKind::label);
  if (!label || !label->map) refuse("--label-map: " + info.name + " takes no map of labels");
  std::vector<std::string> lines;
  for (std::int64_t i = 0; i < info.label_count; ++i) {
    const auto place = static_cast<std::size_t>(i);
    const std::string name = place < info.label_names.size() ? info.label_names[place] : std::to_string(i);
    lines.push_back(colour_text(i) + "  " + name);
  }
  return lines;
}

void CanvasArguments::add_to(CLI::App& command) {
  command.add_option(
      "--size", size,
      "WIDTHxHEIGHT in pixels, such as 3840x2160: a part of an endless plane; of a model with free sizes "
      "and no halo, of a sample (default: a sample of the model's size)");
  command.add_option("--at", at, "X,Y of the plane where the picture's upper left corner is (default: 0,0)");
  command.add_flag("--seamless", seamless, "a picture whose edges meet: the plane begins anew after its --size");
  command.add_option("--tiles", tiles,
                     "in place of --output: a folder for z/x/y.png of 256x256 pixels, as viewers of maps read them");
  command.add_option("--label-map", label_map,
                     "a small picture, spread over the --size, whose colours stand for labels; `help` lists them");
  command.add_option("--label-map-place", label_map_place,
                     "X,Y,WIDTHxHEIGHT: the part of the plane over which it is spread (default: what is drawn)");
}

bool CanvasArguments::wanted(const ModelInfo& info, bool noise) const {
  if (seamless || !at.empty() || !tiles.empty() || !label_map.empty() || !label_map_place.empty()) {
    if (size.empty()) refuse("--seamless, --at, --tiles and --label-map need --size WIDTHxHEIGHT");
    if (noise) refuse("--noise is for samples; the noise of a plane belongs to its places");
    return true;
  }
  if (size.empty() || noise) return false;
  if (info.sample.halo) return true;
  const bool free = !default_sizes(info.sample).empty();
  const auto [width, height] = parse_extent(size, "--size");
  return !free && info.data.modality == Modality::image &&
         (width != info.data.shape[2] || height != info.data.shape[1]);
}

nlohmann::ordered_json facts_of(const CanvasOutput& output, bool seamless) {
  const Rectangle& r = output.rectangle;
  const CanvasReport& report = output.report;
  return {{"size", {r.width, r.height}},
          {"at", {r.x, r.y}},
          {"seamless", seamless},
          {"way", report.exact ? "exact" : "windows"},
          {"window", {report.window_width, report.window_height}},
          {"margin", report.margin}};
}

void require_pictures(const ModelInfo& info) {
  if (info.data.modality != Modality::image)
    refuse("--size is for pictures; " + info.name + " makes " + name_of(info.data.modality));
}

CanvasOutput draw_canvases(
    const BulkTask& task, const CanvasArguments& arguments,
    const std::function<std::string(std::uint64_t seed)>& file_of,
    const std::function<std::vector<std::pair<std::string, std::string>>(nlohmann::ordered_json)>& texts) {
  const Generator& generator = task.generator;
  const Request& request = task.request;
  const ModelInfo& info = generator.info();
  require_pictures(info);
  CanvasOutput output;
  const auto [width, height] = parse_extent(arguments.size, "--size");
  output.rectangle = {0, 0, width, height};
  if (!arguments.at.empty()) {
    const auto place = parse_place(arguments.at);
    if (!place) refuse("--at " + arguments.at + " must be X,Y, whole numbers in [-2^31, 2^31), such as -1200,40");
    std::tie(output.rectangle.x, output.rectangle.y) = *place;
  }
  CanvasOptions options;
  if (arguments.seamless) {
    options.period_width = width;
    options.period_height = height;
  }
  if (!arguments.label_map_place.empty() && arguments.label_map.empty())
    refuse("--label-map-place is the place of a --label-map, which is missing");
  if (!arguments.label_map.empty()) {
    const Rectangle place =
        arguments.label_map_place.empty() ? output.rectangle : parse_rectangle(arguments.label_map_place);
    options.label_map = read_label_map(arguments.label_map, place, info);
  }
  const auto canvas_of = [&](std::size_t i) {
    const Request one = part_of(request, info, places_from(i, 1));
    return std::pair(Canvas(generator, one, options), one);
  };
  if (!arguments.tiles.empty() && request.seeds.size() > 1)
    refuse("--tiles holds the plane of one seed, not of " + std::to_string(request.seeds.size()));
  const Rank rank = this_rank();
  const bool in_bands = task.arguments.resume || rank.count > 1;
  if (!arguments.tiles.empty()) task.arguments.require_none("--tiles " + arguments.tiles);
  if (task.arguments.keep_going || !task.arguments.shard.empty())
    refuse("--keep-going and --shard are for samples; a picture with --size is shared by the ranks of mpirun");

  // All that can go wrong is found before anything is drawn.
  for (std::size_t i = 0; i < std::min<std::size_t>(request.seeds.size(), 1); ++i) {
    const Canvas canvas = canvas_of(i).first;
    if (arguments.tiles.empty()) require_savable(file_of(request.seeds[i]), canvas, output.rectangle);
  }

  const auto described = [&](const CanvasReport& report, const Request& one) {
    Json made{{"model", info.name},
              {"sampler", report.sampler},
              {"options", parts_of(request.sampler).options},
              {"levels", report.levels},
              {"seeds", one.seeds},
              {"labels", Json::array({report.label ? Json(*report.label) : Json()})}};
    Request again = one;
    if (report.label) again.labels = {*report.label};
    made["request"] = Json::parse(to_json(again, info));
    made["canvas"] = facts_of(output, arguments.seamless);
    if (!arguments.label_map.empty()) made["canvas"]["label_map"] = arguments.label_map;
    SaveOptions save;
    save.texts = texts(std::move(made));
    return save;
  };
  const auto done = [&](const CanvasReport& report, const std::string& file) {
    ++output.finished;
    output.files.push_back(file);
    output.labels.push_back(report.label ? Json(*report.label) : Json());
  };

  Interrupt interrupt;
  output.labels = Json::array();
  const auto started = Clock::now();
  const std::size_t count = request.seeds.size();
  const auto seeds = static_cast<std::int64_t>(count);
  if (in_bands) {
    std::optional<RunBar> bar;
    const auto picture_of = [&](std::size_t i, const Canvas& canvas, const Request& one) {
      output.report = canvas.report();
      Json facts = facts_of(output, arguments.seamless);
      if (!arguments.label_map.empty()) facts["label_map"] = sha256_of_files({arguments.label_map});
      if (!arguments.label_map_place.empty()) facts["label_map_place"] = arguments.label_map_place;
      return BandedPicture(task, canvas, one, facts, file_of(request.seeds[i]), output.rectangle);
    };
    // All pictures are drawn before the first is finished: a rank does not wait for others between two pictures.
    for (std::size_t i = 0; i < count && !output.stopped; ++i) {
      const auto [canvas, one] = canvas_of(i);
      output.stopped =
          !picture_of(i, canvas, one)
               .draw(task.arguments.resume, task.quiet, {0, 0, static_cast<std::int64_t>(i), seeds}, bar, interrupt);
    }
    for (std::size_t i = 0; i < count && !output.stopped; ++i) {
      const auto [canvas, one] = canvas_of(i);
      if (picture_of(i, canvas, one).finish(described(canvas.report(), one), bar))
        done(canvas.report(), file_of(request.seeds[i]));
    }
  } else {
    ProgressBar bar(task.quiet);
    for (std::size_t i = 0; i < count && !output.stopped; ++i) {
      const auto [canvas, one] = canvas_of(i);
      output.report = canvas.report();
      const SaveOptions save = described(canvas.report(), one);
      const auto before = static_cast<std::int64_t>(i);
      std::string file = arguments.tiles;
      if (arguments.tiles.empty()) {
        const OnProgress on_progress = [&](const Progress& one_of_all) {
          interrupt.poll();
          bar.show({before * one_of_all.calls + one_of_all.calls_done, seeds * one_of_all.calls, before, seeds});
        };
        file = file_of(request.seeds[i]);
        output.stopped = !save_region(file, canvas, output.rectangle, save, on_progress, interrupt.token());
      } else {
        TilePyramid tiles(canvas, output.rectangle, arguments.tiles, save.texts);
        std::int64_t tile = 0;
        const auto on_tile = [&] { bar.show({++tile, tiles.count(), tile, tiles.count()}); };
        output.stopped = !tiles.write(
            on_tile, [&](const Progress&) { interrupt.poll(); }, interrupt.token());
      }
      if (!output.stopped) done(canvas.report(), file);
    }
  }
  output.seconds = seconds_since(started);
  return output;
}

}  // namespace onestep
