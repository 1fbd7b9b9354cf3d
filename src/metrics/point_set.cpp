#include "point_set.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "onestep/error.hpp"

namespace onestep {
namespace {

constexpr std::int64_t piece = 1024;                  // rows
constexpr std::int64_t most_in_memory = 128LL << 20;  // bytes

std::string temporary_folder() {
  std::error_code none;
  const std::filesystem::path folder = std::filesystem::temp_directory_path(none);
  return none ? "/tmp" : folder.string();
}

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorKind::file, "features that do not fit into 128 MiB go to a temporary file, which can't be " + what +
                                   " in " + temporary_folder() + ": " + std::system_category().message(errno) +
                                   "; set TMPDIR to a folder with more room");
}

/// A file that is gone when it is closed.
int open_unnamed() {
  std::string name = temporary_folder() + "/onestep-features-XXXXXX";
  const int file = mkstemp(name.data());
  if (file < 0) fail("made");
  unlink(name.c_str());
  return file;
}

}  // namespace

PointSet::~PointSet() {
  if (file_ >= 0) close(file_);
}

PointSet& PointSet::operator=(PointSet&& other) noexcept {
  PointSet taken(std::move(other));
  swap(taken);
  return *this;
}

void PointSet::swap(PointSet& other) noexcept {
  std::swap(pieces_, other.pieces_);
  std::swap(count_, other.count_);
  std::swap(dimensions_, other.dimensions_);
  std::swap(in_memory_, other.in_memory_);
  std::swap(file_, other.file_);
}

void PointSet::append(const torch::Tensor& points) {
  dimensions_ = points.size(1);
  const torch::Tensor contiguous = points.contiguous();
  const std::int64_t row_bytes = dimensions_ * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t room = std::max<std::int64_t>(most_in_memory / row_bytes / piece, 1) * piece;
  for (std::int64_t from = 0; from < points.size(0);) {
    const std::int64_t filled = count_ % piece, left = points.size(0) - from;
    std::int64_t rows = left;
    if (count_ < room) {
      rows = std::min(piece - filled, left);
      if (filled == 0) pieces_.push_back(torch::empty({piece, dimensions_}));
      pieces_.back().narrow(0, filled, rows).copy_(contiguous.narrow(0, from, rows));
      in_memory_ += rows;
    } else {
      write(contiguous.const_data_ptr<float>() + from * dimensions_, rows);
    }
    from += rows;
    count_ += rows;
  }
}

void PointSet::write(const float* points, std::int64_t rows) {
  if (file_ < 0) file_ = open_unnamed();
  auto bytes = std::as_bytes(std::span(points, static_cast<std::size_t>(rows * dimensions_)));
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("written");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

torch::Tensor PointSet::gather(std::span<const std::int64_t> rows) const {
  torch::Tensor gathered = torch::empty({static_cast<std::int64_t>(rows.size()), dimensions()}, torch::kFloat64);
  double* to = gathered.data_ptr<double>();
  std::vector<float> read;
  for (std::size_t k = 0; k < rows.size();) {
    if (rows[k] < in_memory_) {
      const float* from =
          pieces_[static_cast<std::size_t>(rows[k] / piece)].const_data_ptr<float>() + rows[k] % piece * dimensions();
      to = std::copy_n(from, dimensions(), to);
      ++k;
      continue;
    }
    // Rows that follow each other are read at once.
    std::size_t run = 1;
    while (k + run < rows.size() && rows[k + run] == rows[k] + static_cast<std::int64_t>(run)) ++run;
    read.resize(run * static_cast<std::size_t>(dimensions()));
    auto bytes = std::as_writable_bytes(std::span(read));
    off_t place = (rows[k] - in_memory_) * dimensions() * static_cast<off_t>(sizeof(float));
    while (!bytes.empty()) {
      const ssize_t got = pread(file_, bytes.data(), bytes.size(), place);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) fail("read");
      bytes = bytes.subspan(static_cast<std::size_t>(got));
      place += got;
    }
    to = std::copy(read.begin(), read.end(), to);
    k += run;
  }
  return gathered;
}

torch::Tensor Part::block(std::int64_t first, std::int64_t most) const {
  return set.gather(
      rows.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(std::min(most, count() - first))));
}

}  // namespace onestep
