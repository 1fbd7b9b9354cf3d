#include "sample_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
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

std::string line_of(const ItemPlace& place, const SampleFolder::Item& item, const std::string& sha256) {
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

constexpr std::size_t lines_at_once = 512;
constexpr std::int64_t most_shards = 1'000'000;

void write_facts(const SampleFolder::Run& run) {
  const std::string text = json_text(run.facts, 1) + "\n";
  write_file(run.folder + "/run.json", std::as_bytes(std::span(text)));
}

/// Into how many shards the runs in a folder were dealt.
std::set<std::int64_t> divisions(const std::string& folder) {
  std::set<std::int64_t> counts;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    long index = 0, count = 0;
    if (name == "manifest.jsonl") counts.insert(1);
    if (std::sscanf(name.c_str(), "manifest.%ld-of-%ld.jsonl", &index, &count) == 2 && count > 1 &&
        count <= most_shards)
      counts.insert(count);
  }
  return counts;
}

/// The lines of a run's manifests, in the order of its items, where it was dealt to so many shards. A block of lines is
/// read at a time: there may be more shards than files that can be open.
class RunLines {
 public:
  RunLines(const SampleFolder::Run& run, std::int64_t shards)
      : folder_(run.folder), count_(run.count), block_(run.block), read_(static_cast<std::size_t>(shards)) {}

  /// That of the next item, if it is there.
  std::optional<std::string> next() {
    if (next_ % block_ == 0) read_block();
    const std::size_t k = next_++ % block_;
    if (k >= lines_.size()) return {};
    return std::move(lines_[k]);
  }

 private:
  void read_block() {
    lines_.clear();
    const std::size_t shard = next_ / block_ % read_.size();
    std::ifstream stream(
        manifest_of(folder_, {static_cast<std::int64_t>(shard), static_cast<std::int64_t>(read_.size())}),
        std::ios::binary);
    stream.seekg(static_cast<std::streamoff>(read_[shard]));
    std::string line;
    for (std::size_t left = std::min(block_, count_ - next_); left > 0; --left) {
      if (!std::getline(stream, line) || stream.eof()) return;
      read_[shard] += line.size() + 1;
      lines_.push_back(line);
    }
  }

  std::string folder_;
  std::size_t count_, block_, next_ = 0;
  std::vector<std::uint64_t> read_;  // bytes of each shard's manifest
  std::vector<std::string> lines_;   // of the block that the next item is in
};

}  // namespace

Shard parse_shard(const std::string& text) {
  const std::size_t slash = std::min(text.find('/'), text.size());
  const auto index = parse_whole(text.substr(0, slash));
  const auto count = parse_whole(text.substr(std::min(slash + 1, text.size())));
  if (!index || !count || *count < 1 || *count > std::uint64_t{most_shards} || *index >= *count)
    throw Error(ErrorKind::usage, "--shard " + text + " must be I/N with I in [0, N-1], such as 0/8 to 7/8");
  return {static_cast<std::int64_t>(*index), static_cast<std::int64_t>(*count)};
}

SampleFolder::SampleFolder(Run run, bool resume) : run_(std::move(run)) {
  while (run_.folder.size() > 1 && run_.folder.ends_with('/')) run_.folder.pop_back();
  try {
    made_.make_folder(run_.folder);
    folder_descriptor_ = open(run_.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_descriptor_ < 0) fail(run_.folder, errno);
    open_manifest(resume);
    require_same_run();
    unfinished_ = run_.folder + "/.unfinished" + suffix(run_.shard);
    std::error_code error;
    fs::remove_all(unfinished_, error);
    if (mkdir(unfinished_.c_str(), 0777) != 0) fail(unfinished_, errno);
    made_.add(unfinished_);
    read_manifest();
    take_over(resume);
    // A shard without items is done: the others look for its manifest.
    if (own() == 0) made_.keep();
  } catch (...) {
    std::error_code none;
    if (!unfinished_.empty()) fs::remove(unfinished_, none);
    if (descriptor_ >= 0) close(descriptor_);
    if (folder_descriptor_ >= 0) close(folder_descriptor_);
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

void SampleFolder::refuse_to_begin(const std::string& manifest) const {
  throw Error(ErrorKind::usage, run_.folder + " holds samples of a run already, those of " +
                                    fs::path(manifest).filename().string() +
                                    "; go on with it by --resume, or give another folder");
}

void SampleFolder::open_manifest(bool resume) {
  manifest_ = manifest_of(run_.folder, run_.shard);
  descriptor_ = open(manifest_.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor_ < 0 && errno == ENOENT) {
    descriptor_ = open(manifest_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ >= 0) made_.add(manifest_);
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
  made_.keep();
  if (!resume) refuse_to_begin(manifest_);
}

void SampleFolder::require_same_run() {
  const std::string file = run_.folder + "/run.json";
  std::error_code unreachable;
  if (!fs::exists(file, unreachable)) {
    write_facts(run_);
    made_.add(file);
    return;
  }
  std::ifstream stream(file);
  const Json there = Json::parse(stream, nullptr, /*allow_exceptions=*/false);
  if (!there.is_object()) {
    throw Error(ErrorKind::file, file + ": is no JSON object, and does not say what was drawn; give another folder");
  }
  const std::string differ = differences(there, run_.facts);
  if (differ.empty()) return;
  throw Error(ErrorKind::usage, run_.folder + " holds another run: " + differ + "; give another folder");
}

void SampleFolder::read_manifest() {
  std::ifstream stream(manifest_, std::ios::binary);
  std::uint64_t whole = 0;  // bytes of lines that are
  for (bool more = manifest_size_ > 0; more;) {
    std::vector<std::string> lines;
    for (std::string text; lines.size() < lines_at_once && std::getline(stream, text) && !stream.eof();)
      lines.push_back(std::move(text));
    const std::size_t good = check(lines);
    for (std::size_t k = 0; k < good; ++k) whole += lines[k].size() + 1;
    more = good == lines_at_once;  // what is behind a line that is none is made again
  }
  if (whole < manifest_size_ && ftruncate(descriptor_, static_cast<off_t>(whole)) != 0) fail(manifest_, errno);
  manifest_size_ = whole;
}

void SampleFolder::take_over(bool resume) {
  for (const std::int64_t shards : divisions(run_.folder)) {
    if (shards == run_.shard.count) continue;
    if (!resume) refuse_to_begin(manifest_of(run_.folder, {0, shards}));
    RunLines others(run_, shards);
    std::vector<std::string> lines;
    const auto take = [&] {
      const std::size_t good = check(lines);
      std::string texts;
      for (std::size_t k = 0; k < good; ++k) texts += lines[k] + "\n";
      if (!texts.empty()) append(texts);
      lines.clear();
    };
    for (std::size_t number = 0; number < run_.count && whole_.size() + lines.size() < own(); ++number) {
      std::optional<std::string> line = others.next();
      if (number_of(whole_.size() + lines.size()) != number) continue;
      if (!line) break;  // lines stand in order: what is behind it is made again
      lines.push_back(std::move(*line));
      if (lines.size() == lines_at_once) take();
    }
    take();
  }
}

/// Looks at the files of the next items, by their lines; how many of these are lines.
std::size_t SampleFolder::check(const std::vector<std::string>& lines) {
  std::vector<Line> parsed;
  std::vector<ItemPlace> places;
  for (const std::string& text : lines) {
    const std::optional<Line> line = parse_line(text);
    const std::size_t index = whole_.size() + parsed.size();
    if (!line || index == own()) break;
    const ItemPlace place = run_.place(number_of(index));
    if (line->seed != place.seed || (!line->file.empty() && line->file != place.file)) {
      throw Error(ErrorKind::file, manifest_ + ": line " + std::to_string(index + 1) + " has seed " +
                                       std::to_string(line->seed) + ", file " + line->file + ", where seed " +
                                       std::to_string(place.seed) + ", file " + place.file +
                                       " is expected; give another folder");
    }
    parsed.push_back(*line);
    places.push_back(place);
  }
  std::vector<char> there(parsed.size());
  in_parallel(parsed.size(), [&](std::size_t k) {
    there[k] = parsed[k].file.empty();
    if (there[k]) return;
    try {
      there[k] = sha256_of_files({run_.folder + "/" + places[k].file}) == parsed[k].sha256;
    } catch (const Error&) {  // it is gone
    }
  });
  for (std::size_t k = 0; k < parsed.size(); ++k) {
    if (!there[k]) damaged_[whole_.size()] = parsed[k].sha256;
    whole_.push_back(there[k]);
  }
  if (run_.checked) run_.checked();
  return parsed.size();
}

std::size_t SampleFolder::index_of(std::size_t number) const {
  const auto shards = static_cast<std::size_t>(run_.shard.count);
  return number / run_.block / shards * run_.block + number % run_.block;
}

std::size_t SampleFolder::number_of(std::size_t index) const {
  const auto shards = static_cast<std::size_t>(run_.shard.count), shard = static_cast<std::size_t>(run_.shard.index);
  return (index / run_.block * shards + shard) * run_.block + index % run_.block;
}

std::size_t SampleFolder::own() const {
  const auto shards = static_cast<std::size_t>(run_.shard.count), shard = static_cast<std::size_t>(run_.shard.index);
  const std::size_t whole_blocks = run_.count / run_.block, rest = run_.count % run_.block;
  const std::size_t own_blocks = whole_blocks > shard ? (whole_blocks - shard - 1) / shards + 1 : 0;
  return own_blocks * run_.block + (whole_blocks % shards == shard ? rest : 0);
}

bool SampleFolder::has(std::size_t number) const {
  const std::size_t index = index_of(number);
  return index < whole_.size() && whole_[index];
}

std::size_t SampleFolder::missing() const { return own() - whole_.size() + damaged_.size(); }

std::vector<std::size_t> SampleFolder::missing_blocks() const {
  std::vector<std::size_t> blocks;
  for (std::size_t index = 0; index < own(); ++index) {
    const std::size_t number = number_of(index), block = number / run_.block;
    if (!has(number) && (blocks.empty() || blocks.back() != block)) blocks.push_back(block);
  }
  return blocks;
}

void SampleFolder::add(const std::vector<Item>& items,
                       const std::function<std::vector<std::byte>(std::size_t)>& bytes) {
  std::vector<std::unique_ptr<OutputFile>> files(items.size());
  std::vector<std::string> digests(items.size());
  std::vector<ItemPlace> places;
  std::set<fs::path> folders;
  for (const Item& item : items) {
    places.push_back(run_.place(item.number));
    folders.insert(fs::path(places.back().file).parent_path());
  }
  for (const fs::path& folder : folders) {
    const std::string path = (fs::path(run_.folder) / folder).string();
    if (!folder.empty() && mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) fail(path, errno);
  }
  in_parallel(items.size(), [&](std::size_t k) {
    const Item& item = items[k];
    if (item.broken || has(item.number)) return;
    const std::vector<std::byte> content = bytes(k);
    digests[k] = sha256_of(content);
    const auto before = damaged_.find(index_of(item.number));
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
  const std::size_t known = whole_.size();
  for (std::size_t k = 0; k < items.size(); ++k) {
    if (files[k]) files[k]->commit();
    if (index_of(items[k].number) >= known) lines += line_of(places[k], items[k], digests[k]);
  }
  if (!lines.empty()) append(lines);
  for (const Item& item : items) {
    const std::size_t index = index_of(item.number);
    if (index < known) damaged_.erase(index);
    if (index >= whole_.size()) whole_.resize(index + 1);
    whole_[index] = 1;
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
  made_.keep();
}

std::string differences(const Json& there, const Json& here) {
  std::set<std::string> keys;
  for (const Json* facts : {&there, &here}) {
    for (const auto& [key, value] : facts->items()) keys.insert(key);
  }
  std::string text;
  for (const std::string& key : keys) {
    const Json before = there.value(key, Json()), now = here.value(key, Json());
    if (before == now) continue;
    const auto shortened = [](const Json& value) {
      const std::string whole = json_text(value);
      return whole.size() > 80 ? whole.substr(0, 77) + "..." : whole;
    };
    text += (text.empty() ? "" : "; ") + key + " is " + shortened(before) + " there, " + shortened(now) + " here";
  }
  return text;
}

bool join_manifests(const SampleFolder::Run& run, bool remove_those_of_shards) {
  if (run.shard.count == 1) return true;
  RunLines lines(run, run.shard.count);
  OutputFile joint(manifest_of(run.folder, {}));
  for (std::size_t number = 0; number < run.count; ++number) {
    std::optional<std::string> line = lines.next();
    if (!line) return false;  // another shard is still at work
    *line += '\n';
    joint.write(std::as_bytes(std::span(*line)));
  }
  joint.commit();
  write_facts(run);  // a shard that ended before its first item took the file along
  std::error_code gone;
  for (std::int64_t i = 0; remove_those_of_shards && i < run.shard.count; ++i)
    fs::remove(manifest_of(run.folder, {i, run.shard.count}), gone);
  return true;
}

ShardProgress::ShardProgress(const SampleFolder::Run& run, std::int64_t but) {
  for (std::int64_t i = 0; i < run.shard.count; ++i) {
    if (i != but) shards_.push_back({manifest_of(run.folder, {i, run.shard.count})});
  }
}

std::size_t ShardProgress::items() {
  std::size_t items = 0;
  std::string more;
  for (Seen& seen : shards_) {
    std::error_code not_there;
    const std::uintmax_t size = fs::file_size(seen.file, not_there);
    if (!not_there && size < seen.bytes) seen.bytes = seen.lines = 0;
    if (!not_there && size > seen.bytes) {
      more.resize(static_cast<std::size_t>(size - seen.bytes));
      std::ifstream stream(seen.file, std::ios::binary);
      stream.seekg(static_cast<std::streamoff>(seen.bytes));
      stream.read(more.data(), static_cast<std::streamsize>(more.size()));
      const auto read = stream.gcount();
      seen.bytes += static_cast<std::uint64_t>(read);
      seen.lines += static_cast<std::size_t>(std::count(more.begin(), more.begin() + read, '\n'));
    }
    items += seen.lines;
  }
  return items;
}

}  // namespace onestep
