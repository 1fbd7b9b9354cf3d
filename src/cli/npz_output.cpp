#include "npz_output.hpp"

#include <filesystem>
#include <fstream>

#include "array_file.hpp"
#include "npz_writer.hpp"
#include "output_file.hpp"
#include "picture.hpp"

namespace onestep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

template <typename T>
void append(std::vector<std::byte>& bytes, const std::vector<T>& numbers) {
  const auto more = std::as_bytes(std::span(numbers));
  bytes.insert(bytes.end(), more.begin(), more.end());
}

std::vector<std::byte> content_of(const std::string& file) {
  std::ifstream stream(file, std::ios::binary | std::ios::ate);
  std::vector<std::byte> bytes(stream ? static_cast<std::size_t>(stream.tellg()) : 0);
  stream.seekg(0);
  if (stream && stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size())))
    return bytes;
  throw Error(ErrorKind::file, file + ": can't be read");
}

/// A set of samples, and the parts that it is made of: of a batch its rows, its seeds, and its labels.
class NpzSet {
 public:
  NpzSet(const BulkTask& task, const std::string& file, bool as_bytes)
      : file_(file),
        data_(task.generator.info().data),
        shape_(task.generator.plan(task.request).shape),
        as_bytes_(as_bytes),
        has_labels_(task.generator.info().label_count > 0) {}

  std::string pattern() const { return as_bytes_ ? ".npz: arr_0, arr_1" : ".npz: samples, seeds, labels"; }

  std::vector<std::byte> encode(std::span<const Sample> samples) const {
    std::vector<std::byte> bytes;
    std::vector<std::uint64_t> seeds;
    std::vector<std::int64_t> labels;
    for (const Sample& sample : samples) {
      if (as_bytes_) {
        append(bytes, to_picture(sample.values, sample.shape, data_.range_low, data_.range_high).pixels);
      } else {
        append(bytes, sample.values);
      }
      seeds.push_back(sample.seed);
      if (sample.label) labels.push_back(*sample.label);
    }
    append(bytes, seeds);
    append(bytes, labels);
    return bytes;
  }

  /// Of all parts. facts: kept with it.
  void write(std::size_t parts, const Json& facts) const {
    OutputFile output(file_);
    NpzWriter npz([&](std::uint64_t place, std::span<const std::byte> bytes) { output.write_at(place, bytes); });
    const std::string folder = folder_of_parts(file_);
    std::vector<std::byte> seeds, labels;
    std::size_t row = as_bytes_ ? 1 : sizeof(float);
    for (const std::int64_t side : shape_) row *= static_cast<std::size_t>(side);
    if (as_bytes_) {
      npz.begin("arr_0", "|u1", {shape_[1], shape_[2], shape_[0]});
    } else {
      npz.begin("samples", "<f4", shape_);
    }
    const std::size_t of_sample = row + sizeof(std::uint64_t) + (has_labels_ ? sizeof(std::int64_t) : 0);
    for (std::size_t i = 0; i < parts; ++i) {
      const std::vector<std::byte> bytes = content_of(folder + "/" + name_of_part(i));
      const std::size_t count = bytes.size() / of_sample;
      const std::span all(bytes);
      npz.write(all.first(count * row));
      const auto of_seeds = all.subspan(count * row, count * sizeof(std::uint64_t));
      const auto of_labels = all.subspan(count * row + of_seeds.size());
      seeds.insert(seeds.end(), of_seeds.begin(), of_seeds.end());
      labels.insert(labels.end(), of_labels.begin(), of_labels.end());
    }
    if (!as_bytes_) {
      npz.begin("seeds", "<u8", {});
      npz.write(seeds);
    }
    if (has_labels_) {
      npz.begin(as_bytes_ ? "arr_1" : "labels", "<i8", {});
      npz.write(labels);
    }
    npz.finish(json_text(facts));
    output.commit();
    std::error_code left;
    fs::remove_all(folder, left);
  }

 private:
  std::string file_;
  DataSpace data_;
  std::vector<std::int64_t> shape_;
  bool as_bytes_, has_labels_;
};

}  // namespace

BulkReport draw_into_npz(const BulkTask& task, const std::string& file, bool as_bytes) {
  if (!task.arguments.shard.empty())
    throw Error(ErrorKind::usage, "--shard is for a folder of samples; " + file +
                                      " is one file: give a folder, such as out/, or start the ranks of it by mpirun");
  require_writable(file);
  const Request& request = task.request;
  const NpzSet set(task, file, as_bytes);
  const std::size_t size = batch_of(request), parts = (request.seeds.size() - 1) / size + 1;
  const Json facts = facts_of(task, set.pattern());

  const std::string folder = folder_of_parts(file);
  std::error_code unreachable;
  if (task.arguments.resume && fs::exists(file, unreachable) && !fs::exists(folder, unreachable)) {
    const Json there = Json::parse(comment_of(file), nullptr, /*allow_exceptions=*/false);
    if (!there.is_object())
      throw Error(ErrorKind::usage, file + " does not say what was drawn; give another file, or leave out --resume");
    const std::string difference = differences(there, facts);
    if (!difference.empty())
      throw Error(ErrorKind::usage, file + " holds another run: " + difference + "; give another file");
    BulkReport done;
    done.report = task.generator.plan(request);
    done.asked = done.finished = static_cast<std::int64_t>(request.seeds.size());
    done.ended = this_rank().index == 0;
    return done;
  }

  BulkLayout layout{.folder = folder, .pattern = set.pattern(), .of_batches = true};
  layout.place = [&](std::size_t batch) { return ItemPlace{request.seeds[batch * size], name_of_part(batch)}; };
  layout.encode = [&](std::span<const Sample> samples, std::size_t) { return set.encode(samples); };
  layout.finish = [&] { set.write(parts, facts); };
  return draw_in_bulk(task, layout);
}

}  // namespace onestep
