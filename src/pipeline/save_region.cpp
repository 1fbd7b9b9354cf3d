#include <algorithm>
#include <string>

#include "lattice.hpp"
#include "npy.hpp"
#include "onestep/canvas.hpp"
#include "output_file.hpp"
#include "picture_bands.hpp"
#include "require.hpp"
#include "values.hpp"

namespace onestep {
namespace {

/// What is drawn goes here, a rectangle of a band after the other. Places are those of the file.
class RegionWriter {
 public:
  virtual ~RegionWriter() = default;
  virtual void add(const Region& region, std::int64_t x, std::int64_t y) = 0;
  virtual void end_band() {}
  virtual void finish() {}
};

class PictureWriter : public RegionWriter {
 public:
  PictureWriter(FileKind kind, OutputFile& file, const DataSpace& data, const Rectangle& all,
                const SaveOptions& options)
      : data_(data), width_(all.width), enlarge_(options.enlarge) {
    const PictureSize size{all.width * enlarge_, all.height * enlarge_, static_cast<int>(data.shape[0])};
    bands_ = write_in_bands(kind, file, size, options.texts);
  }

  void add(const Region& region, std::int64_t x, std::int64_t) override {
    const Picture part = to_picture(region.values, region.shape, data_.range_low, data_.range_high);
    if (band_.pixels.empty()) band_ = blank_picture(width_, part.height, part.channels);
    paste(band_, part, static_cast<int>(x), 0);
  }
  void end_band() override { bands_->add(enlarge(std::exchange(band_, {}), enlarge_)); }
  void finish() override { bands_->finish(); }

 private:
  const DataSpace& data_;
  std::int64_t width_;
  int enlarge_;
  std::unique_ptr<PictureBands> bands_;
  Picture band_;
};

class ArrayWriter : public RegionWriter {
 public:
  ArrayWriter(OutputFile& file, const DataSpace& data, const Rectangle& all) : file_(file), all_(all) {
    const std::string header = npy_header("<f4", {1, data.shape[0], all.height, all.width});
    header_ = header.size();
    file.write(std::as_bytes(std::span(header)));
  }

  void add(const Region& region, std::int64_t x, std::int64_t y) override {
    const std::int64_t channels = region.shape[0], height = region.shape[1], width = region.shape[2];
    for (std::int64_t row = 0; row < channels * height; ++row) {
      const std::int64_t place = ((row / height) * all_.height + y + row % height) * all_.width + x;
      file_.write_at(
          header_ + static_cast<std::uint64_t>(place) * sizeof(float),
          std::as_bytes(std::span(region.values)
                            .subspan(static_cast<std::size_t>(row * width), static_cast<std::size_t>(width))));
    }
  }

 private:
  OutputFile& file_;
  Rectangle all_;
  std::size_t header_ = 0;
};

FileKind kind_of(const std::string& file, const Canvas& canvas, const Rectangle& rectangle) {
  const ModelInfo& info = canvas.info();
  if (info.data.modality != Modality::image)
    refuse(info.name + " makes " + name_of(info.data.modality) + "; a canvas is saved of pictures alone");
  const FileKind kind = file_kind(file, info, 1);
  if (kind == FileKind::npz)
    refuse(file + ": a canvas is saved to .png, .jpg, .webp or .npy, which can be written band by band");
  require_whole("width", rectangle.width, 1, std::numeric_limits<std::int32_t>::max());
  require_whole("height", rectangle.height, 1, std::numeric_limits<std::int32_t>::max());
  return kind;
}

/// [begin, end) cut where the tiles are.
std::vector<std::pair<std::int64_t, std::int64_t>> cut_by_tiles(std::int64_t begin, std::int64_t size,
                                                                std::int64_t tile) {
  std::vector<std::pair<std::int64_t, std::int64_t>> parts;
  for (std::int64_t at = begin; at < begin + size;) {
    const std::int64_t next = std::min((floor_divide(at, tile) + 1) * tile, begin + size);
    parts.push_back({at, next - at});
    at = next;
  }
  return parts;
}

/// A file for a part of a plane, until it is committed.
struct RegionFile {
  RegionFile(const std::string& file, const Canvas& canvas, const Rectangle& rectangle, const SaveOptions& options)
      : kind(kind_of(file, canvas, rectangle)), output(file) {
    if (options.columns != 0) refuse("columns = " + std::to_string(options.columns) + ": a canvas makes one picture");
    require_whole("enlarge", options.enlarge, 1, 1000);
    if (kind == FileKind::npy)
      writer = std::make_unique<ArrayWriter>(output, canvas.info().data, rectangle);
    else
      writer = std::make_unique<PictureWriter>(kind, output, canvas.info().data, rectangle, options);
  }
  void commit() {
    writer->finish();
    output.commit();
  }

  FileKind kind;
  OutputFile output;
  std::unique_ptr<RegionWriter> writer;
};

}  // namespace

void require_savable(const std::string& file, const Canvas& canvas, const Rectangle& rectangle) {
  const FileKind kind = kind_of(file, canvas, rectangle);
  if (kind != FileKind::npy)
    require_picture_size(kind, {rectangle.width, rectangle.height, static_cast<int>(canvas.info().data.shape[0])});
  require_writable(file);
}

std::vector<Rectangle> bands_of(const Canvas& canvas, const Rectangle& rectangle) {
  std::vector<Rectangle> bands;
  for (const auto& [y, height] : cut_by_tiles(rectangle.y, rectangle.height, canvas.report().tile_height))
    bands.push_back({rectangle.x, y, rectangle.width, height});
  return bands;
}

bool save_region(const std::string& file, const Canvas& canvas, const Rectangle& rectangle, const SaveOptions& options,
                 const OnProgress& on_progress, std::stop_token stop) {
  RegionFile output(file, canvas, rectangle, options);
  const std::vector<Rectangle> bands = bands_of(canvas, rectangle);
  const auto columns = cut_by_tiles(rectangle.x, rectangle.width, canvas.report().tile_width);
  // A tile is told as the calls that it takes itself, though its neighbours may need or have made others; where a
  // period is drawn at once, the first tile takes them all.
  const bool at_once = canvas.report().whole_period;
  const auto tiles = static_cast<std::int64_t>(bands.size() * columns.size());
  std::int64_t done = 0;
  const OnProgress tell = [&](const Progress& tile) {
    const std::int64_t each = at_once ? tile.calls : canvas.report().nfe;
    if (!on_progress || (at_once && done > 0)) return;
    on_progress({done * each + tile.calls_done * each / tile.calls, each * (at_once ? 1 : tiles), 0, 1});
  };
  for (const Rectangle& band : bands) {
    for (const auto& [x, width] : columns) {
      const Region region = canvas.region({x, band.y, width, band.height}, tell, stop);
      if (region.stopped) return false;
      output.writer->add(region, x - rectangle.x, band.y - rectangle.y);
      ++done;
    }
    output.writer->end_band();
  }
  output.commit();
  return true;
}

void save_bands(const std::string& file, const Canvas& canvas, const Rectangle& rectangle,
                const std::function<std::vector<float>(std::size_t i)>& band, const SaveOptions& options) {
  RegionFile output(file, canvas, rectangle, options);
  const std::vector<Rectangle> bands = bands_of(canvas, rectangle);
  for (std::size_t i = 0; i < bands.size(); ++i) {
    const Region region{{canvas.info().data.shape[0], bands[i].height, bands[i].width}, band(i)};
    require_shape(region.values.size(), region.shape);
    output.writer->add(region, 0, bands[i].y - rectangle.y);
    output.writer->end_band();
  }
  output.commit();
}

}  // namespace onestep
