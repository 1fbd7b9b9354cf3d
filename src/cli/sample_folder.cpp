#include "sample_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>

#include "grammar.hpp"
#include "onestep/error.hpp"
#include "output_file.hpp"
#include "provenance.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// work(k) for k = 0 ... count - 1, by a few threads; the first exception is thrown on.
void in_parallel(std::size_t count, const std::function<void(std::size_t)>& work) {
  const std::size_t most = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, 8);
  std::atomic<std::size_t> next{0};
  std::exception_ptr thrown;
  std::mutex mutex;
  const auto run = [&] {
    try {
      for (std::size_t k; (k = next++) < count;) work(k);
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      if (!thrown) thrown = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    try {
      for (std::size_t i = 1; i < std::min(most, count); ++i) threads.emplace_back(run);
    } catch (const std::system_error&) {  // no more threads are to be had: those that are there do
    }
    run();
  }
  if (thrown) std::rethrow_exception(thrown);
}

std::string suffix(const Shard& shard) {
  if (shard.count == 1) return "";
  return "." + std::to_string(shard.index) + "-of-" + std::to_string(shard.count);
}

std::string manifest_of(const std::string& folder, const Shard& shard) {
  return folder + "/manifest" + suffix(shard) + ".jsonl";
}

std::string line_of(const SamplePlace& place, const SampleFolder::Item& item, const std::string& sha256) {
  Json line{{"seed", place.seed}, {"label", Json()}, {"file", place.file}, {"sha256", sha256}};
  if (item.label) line["label"] = *item.label;
  if (item.broken) line["file"] = line["sha256"] = Json();
  if (item.broken) line["error"] = "NaN or infinity";
  return json_text(line) + "\n";
}

/// A line of a manifest, where it is one: a sample's seed, file and SHA-256; the latter empty of what can't be drawn.
struct Line {
  std::uint64_t seed = 0;
  std::string file, sha256;
};
std::optional<Line> parse_line(const std::string& text) {
  const Json line = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!line.is_object() || !line.contains("seed") || !line["seed"].is_number_unsigned() || !line.contains("file") ||
      !line.contains("sha256"))
    return std::nullopt;
  const std::uint64_t seed = line["seed"].get<std::uint64_t>();
  if (line["file"].is_null() && line.contains("error")) return Line{seed, "", ""};
  if (!line["file"].is_string() || !line["sha256"].is_string()) return std::nullopt;
  return Line{seed, line["file"].get<std::string>(), line["sha256"].get<std::string>()};
}

}  // namespace

Shard parse_shard(const std::string& text) {
  const std::size_t slash = std::min(text.find('/'), text.size());
  const auto index = parse_whole(text.substr(0, slash));
  const auto count = parse_whole(text.substr(std::min(slash + 1, text.size())));
  if (!index || !count || *count < 1 || *count > 1'000'000 || *index >= *count)
    throw Error(ErrorKind::usage, "--shard " + text + " must be I/N with I in [0, N-1], such as 0/8 to 7/8");
  return {static_cast<std::int64_t>(*index), static_cast<std::int64_t>(*count)};
}

/// What was made for samples, gone again if none came.
class SampleFolder::Made {
 public:
  ~Made() {
    std::error_code kept;  // what holds something
    if (keep) return;
    for (auto path = paths_.rbegin(); path != paths_.rend(); ++path) fs::remove(*path, kept);
  }
  void add(const std::string& path) { paths_.push_back(path); }
  bool keep = false;

 private:
  std::vector<std::string> paths_;
};

SampleFolder::SampleFolder(Run run, bool resume) : run_(std::move(run)), made_(std::make_unique<Made>()) {
  while (run_.folder.size() > 1 && run_.folder.ends_with('/')) run_.folder.pop_back();
  const auto close_all = [&] {
    if (descriptor_ >= 0) close(descriptor_);
    if (folder_descriptor_ >= 0) close(folder_descriptor_);
  };
  try {
    if (mkdir(run_.folder.c_str(), 0777) == 0) {
      made_->add(run_.folder);
    } else if (errno != EEXIST) {
      throw Error(ErrorKind::file, run_.folder +
                                       ": the folder can't be made: " + std::system_category().message(errno) +
                                       "; its own folder must exist and be writable");
    }
    folder_descriptor_ = open(run_.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_descriptor_ < 0) fail(run_.folder, errno);
    open_manifest(resume);
    require_same_run();
    unfinished_ = run_.folder + "/.unfinished" + suffix(run_.shard);
    std::error_code error;
    fs::remove_all(unfinished_, error);
    if (mkdir(unfinished_.c_str(), 0777) != 0) fail(unfinished_, errno);
    made_->add(unfinished_);
    read_manifest();
    // A shard without samples is done: the others look for its manifest.
    if (run_.count == 0) made_->keep = true;
  } catch (...) {
    std::error_code none;
    if (!unfinished_.empty()) fs::remove(unfinished_, none);
    close_all();
    throw;
  }
}

SampleFolder::~SampleFolder() {
  std::error_code none;
  fs::remove_all(unfinished_, none);
  close(descriptor_);
  close(folder_descriptor_);
}

void SampleFolder::fail(const std::string& file, int system_error) const {
  const std::string way_out = system_error == ENOSPC || system_error == EDQUOT ? "free some space"
                              : system_error == ENOENT                         ? "make the folder again"
                                                                               : "give a folder that you may write to";
  throw Error(ErrorKind::file,
              file + ": can't be written: " + std::system_category().message(system_error) + "; " + way_out);
}

void SampleFolder::open_manifest(bool resume) {
  manifest_ = manifest_of(run_.folder, run_.shard);
  descriptor_ = open(manifest_.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor_ < 0 && errno == ENOENT) {
    descriptor_ = open(manifest_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ >= 0) made_->add(manifest_);
  }
  if (descriptor_ < 0) fail(manifest_, errno);
  if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    throw Error(ErrorKind::file, run_.folder + ": another process is drawing into it, and has locked " +
                                     fs::path(manifest_).filename().string() +
                                     "; wait until it is done, or give another folder");
  }
  struct stat about;
  if (fstat(descriptor_, &about) != 0) fail(manifest_, errno);
  manifest_size_ = static_cast<std::uint64_t>(about.st_size);
  if (manifest_size_ == 0) return;
  made_->keep = true;
  if (!resume) {
    throw Error(ErrorKind::usage, run_.folder + " holds samples of a run already, those of " +
                                      fs::path(manifest_).filename().string() +
                                      "; go on with it by --resume, or give another folder");
  }
}

void SampleFolder::require_same_run() {
  const std::string file = run_.folder + "/run.json";
  std::error_code unreachable;
  if (!fs::exists(file, unreachable)) {
    const std::string text = json_text(run_.facts, 1) + "\n";
    write_file(file, std::as_bytes(std::span(text)));
    made_->add(file);
    return;
  }
  std::ifstream stream(file);
  const Json there = Json::parse(stream, nullptr, /*allow_exceptions=*/false);
  if (!there.is_object()) {
    throw Error(ErrorKind::file, file + ": is no JSON object, and does not say what was drawn; give another folder");
  }
  std::set<std::string> keys;
  for (const Json* facts : {&there, static_cast<const Json*>(&run_.facts)}) {
    for (const auto& [key, value] : facts->items()) keys.insert(key);
  }
  std::string differences;
  for (const std::string& key : keys) {
    const Json before = there.value(key, Json()), now = run_.facts.value(key, Json());
    if (before == now) continue;
    const auto text = [](const Json& value) {
      const std::string whole = json_text(value);
      return whole.size() > 80 ? whole.substr(0, 77) + "..." : whole;
    };
    differences += (differences.empty() ? "" : "; ") + key + " is " + text(before) + " there, " + text(now) + " here";
  }
  if (differences.empty()) return;
  throw Error(ErrorKind::usage, run_.folder + " holds another run: " + differences + "; give another folder");
}

void SampleFolder::read_manifest() {
  if (manifest_size_ == 0) return;
  std::ifstream stream(manifest_, std::ios::binary);
  std::uint64_t whole = 0;  // bytes of lines that are
  for (std::string text; std::getline(stream, text) && !stream.eof();) {
    const std::optional<Line> line = parse_line(text);
    if (!line) break;  // and what is behind it is drawn again
    const std::size_t i = whole_.size();
    if (i == run_.count) break;
    const SamplePlace place = run_.place(i);
    if (line->seed != place.seed || (!line->file.empty() && line->file != place.file)) {
      throw Error(ErrorKind::file, manifest_ + ": line " + std::to_string(i + 1) + " has seed " +
                                       std::to_string(line->seed) + ", file " + line->file + ", where seed " +
                                       std::to_string(place.seed) + ", file " + place.file +
                                       " is expected; give another folder");
    }
    bool there = line->file.empty();
    if (!there) {
      try {
        there = sha256_of_files({run_.folder + "/" + place.file}) == line->sha256;
      } catch (const Error&) {  // it is gone
      }
    }
    if (!there) damaged_[i] = line->sha256;
    whole_.push_back(there);
    whole += text.size() + 1;
    if (run_.checked) run_.checked(whole_.size());
  }
  if (whole < manifest_size_ && ftruncate(descriptor_, static_cast<off_t>(whole)) != 0) fail(manifest_, errno);
  manifest_size_ = whole;
}

bool SampleFolder::has(std::size_t i) const { return i < whole_.size() && whole_[i]; }

std::size_t SampleFolder::missing() const { return run_.count - whole_.size() + damaged_.size(); }

void SampleFolder::add(const std::vector<Item>& items,
                       const std::function<std::vector<std::byte>(std::size_t)>& bytes) {
  std::vector<std::unique_ptr<OutputFile>> files(items.size());
  std::vector<std::string> digests(items.size());
  std::vector<SamplePlace> places;
  std::set<fs::path> folders;
  for (const Item& item : items) {
    places.push_back(run_.place(item.i));
    folders.insert(fs::path(places.back().file).parent_path());
  }
  for (const fs::path& folder : folders) {
    const std::string path = (fs::path(run_.folder) / folder).string();
    if (!folder.empty() && mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) fail(path, errno);
  }
  in_parallel(items.size(), [&](std::size_t k) {
    const Item& item = items[k];
    if (item.broken || has(item.i)) return;
    const std::vector<std::byte> content = bytes(k);
    digests[k] = sha256_of(content);
    const auto before = damaged_.find(item.i);
    if (before != damaged_.end() && before->second != digests[k]) {
      throw Error(ErrorKind::file, places[k].file + ", drawn again, is not what it was: its SHA-256 is " + digests[k] +
                                       ", and " + before->second + " in " + manifest_ +
                                       "; this machine or version computes other bits: begin anew in another folder");
    }
    files[k] = std::make_unique<OutputFile>(run_.folder + "/" + places[k].file, unfinished_);
    files[k]->write(content);
    files[k]->finish();
  });
  // One call for all of a batch: to sync each file would take longer than to draw it.
  if (syncfs(folder_descriptor_) != 0) fail(run_.folder, errno);
  std::string lines;
  std::size_t known = whole_.size();
  std::vector<std::size_t> again;
  for (std::size_t k = 0; k < items.size(); ++k) {
    if (files[k]) files[k]->commit();
    if (items[k].i < known) {
      again.push_back(items[k].i);
      continue;
    }
    lines += line_of(places[k], items[k], digests[k]);
  }
  if (!lines.empty()) append(lines);
  for (const std::size_t i : again) {
    damaged_.erase(i);
    whole_[i] = 1;
  }
  for (const Item& item : items) {
    if (item.i >= known) whole_.push_back(1);
  }
}

void SampleFolder::append(const std::string& lines) {
  std::size_t at = 0;
  while (at < lines.size()) {
    const ssize_t written =
        pwrite(descriptor_, lines.data() + at, lines.size() - at, static_cast<off_t>(manifest_size_ + at));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const int reason = errno;
      if (ftruncate(descriptor_, static_cast<off_t>(manifest_size_)) != 0) fail(manifest_, errno);
      fail(manifest_, reason);
    }
    at += static_cast<std::size_t>(written);
  }
  if (fdatasync(descriptor_) != 0) fail(manifest_, errno);
  manifest_size_ += lines.size();
  made_->keep = true;
}

void SampleFolder::finish() {
  if (run_.shard.count == 1) return;
  // The lines of all shards, a batch of each in turn.
  const auto batch = run_.facts.at("batch").get<std::int64_t>(), count = run_.facts.at("count").get<std::int64_t>();
  std::vector<std::ifstream> streams;
  for (std::int64_t i = 0; i < run_.shard.count; ++i) {
    streams.emplace_back(manifest_of(run_.folder, {i, run_.shard.count}), std::ios::binary);
    if (!streams.back()) return;
  }
  OutputFile joint(run_.folder + "/manifest.jsonl");
  for (std::int64_t i = 0; i < count; ++i) {
    std::string line;
    std::ifstream& stream = streams[static_cast<std::size_t>(i / batch % run_.shard.count)];
    if (!std::getline(stream, line) || stream.eof()) return;  // another shard is still at work
    line += '\n';
    joint.write(std::as_bytes(std::span(line)));
  }
  joint.commit();
}

}  // namespace onestep
