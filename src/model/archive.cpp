#include "archive.hpp"

#include <zip.h>

#include <cctype>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "onestep/error.hpp"

namespace onestep {
namespace {

struct Close {
  void operator()(zip_t* archive) const { zip_discard(archive); }
  void operator()(zip_file_t* part) const { zip_fclose(part); }
};

using Archive = std::unique_ptr<zip_t, Close>;

Archive open(const std::string& file) {
  int code = 0;
  Archive archive(zip_open(file.c_str(), ZIP_RDONLY, &code));
  if (archive) return archive;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  throw Error(ErrorKind::model,
              file + ": is no TorchScript file, or is damaged (" + reason + "); copy or export it again");
}

/// Calls visit with some bytes of a part after the others. Returns whether it was read to its end and its CRC-32 is
/// right.
bool read(zip_t* archive, zip_uint64_t index, const std::function<void(std::string_view)>& visit) {
  const std::unique_ptr<zip_file_t, Close> part(zip_fopen_index(archive, index, 0));
  if (!part) return false;
  std::string some(1 << 18, '\0');
  zip_int64_t count = 0;
  while ((count = zip_fread(part.get(), some.data(), some.size())) > 0)
    visit(std::string_view(some.data(), static_cast<std::size_t>(count)));
  return count == 0;
}

/// How deeply Python code is nested, at most: what is read a character at a time. Brackets and blocks are within each
/// other, and in an expression every name, number and operator may be within the one before.
class Nesting {
 public:
  std::int64_t deepest() const { return deepest_; }

  void read(char c) {
    if (quote_) return read_quoted(c);
    if (is_comment_) {
      is_comment_ = c != '\n';
      if (is_comment_) return;
    }
    const bool goes_on = std::isalnum(static_cast<unsigned char>(c)) || c == '_';
    if (goes_on && in_word_) {
      if (word_.size() <= elif.size()) word_.push_back(c);
      return;
    }
    if (in_word_ && word_ == elif) ++branches_;
    in_word_ = goes_on;
    word_.assign(goes_on ? 1 : 0, c);
    if (c == '\n') {
      if (open_.empty()) terms_ = 0;
      indent_ = 0;
      at_start_ = true;
      return;
    }
    if (c == ' ' || c == '\t' || c == '\r') {
      indent_ += at_start_;
      return;
    }
    if (at_start_ && open_.empty()) block_ = indent_;
    at_start_ = false;
    switch (c) {
      case '#':
        is_comment_ = true;
        break;
      case '"':
      case '\'':
        quote_ = c;
        [[fallthrough]];
      default:
        ++terms_;
        break;
      case ',':
        terms_ = open_.empty() ? 0 : open_.back();
        break;
      case '(':
      case '[':
      case '{':
        open_.push_back(++terms_);
        break;
      case ')':
      case ']':
      case '}':
        if (open_.empty()) break;  // libtorch says what is wrong with it
        terms_ = open_.back();
        open_.pop_back();
        break;
    }
    deepest_ = std::max(deepest_, block_ + terms_ + branches_);
  }

 private:
  void read_quoted(char c) {
    if (escaped_)
      escaped_ = false;
    else if (c == '\\')
      escaped_ = true;
    else if (c == quote_)
      quote_ = 0;
  }

  static constexpr std::string_view elif = "elif";

  std::int64_t terms_ = 0;          // within each other
  std::vector<std::int64_t> open_;  // of the brackets: terms_ within them at their start
  std::int64_t indent_ = 0, block_ = 0, branches_ = 0, deepest_ = 0;
  std::string word_;
  bool in_word_ = false, is_comment_ = false, at_start_ = true, escaped_ = false;
  char quote_ = 0;
};

}  // namespace

std::vector<std::string> damaged_parts(const std::string& file) {
  const Archive archive = open(file);
  std::vector<std::string> damaged;
  const zip_int64_t parts = zip_get_num_entries(archive.get(), 0);
  for (zip_int64_t i = 0; i < parts; ++i) {
    const auto index = static_cast<zip_uint64_t>(i);
    if (read(archive.get(), index, [](std::string_view) {})) continue;
    const char* name = zip_get_name(archive.get(), index, ZIP_FL_ENC_RAW);
    damaged.push_back(name ? name : "part " + std::to_string(i));
  }
  return damaged;
}

void require_readable(const std::string& file) {
  // Code that torch writes is some twenty deep. A level takes about a kilobyte of stack, of eight megabytes.
  constexpr std::int64_t deepest = 1000;
  constexpr zip_uint64_t most_bytes = 64 << 20;
  const Archive archive = open(file);
  const zip_int64_t parts = zip_get_num_entries(archive.get(), 0);
  for (zip_int64_t i = 0; i < parts; ++i) {
    const auto index = static_cast<zip_uint64_t>(i);
    zip_stat_t stat;
    if (zip_stat_index(archive.get(), index, ZIP_FL_ENC_RAW, &stat) != 0 || !(stat.valid & ZIP_STAT_NAME)) continue;
    const std::string name = stat.name;
    const bool is_code = name.ends_with(".py");
    if (!is_code && !name.ends_with(".pkl")) continue;
    const auto refuse_large = [&] {
      throw Error(ErrorKind::model, file + ": " + name + " in it has more than " + std::to_string(most_bytes) +
                                        " bytes; so much code and so many constants are not read: keep large constants "
                                        "in buffers of the module");
    };
    if (!(stat.valid & ZIP_STAT_SIZE) || stat.size > most_bytes) refuse_large();
    if (!is_code) continue;
    Nesting nesting;
    zip_uint64_t bytes = 0;  // a part may unpack to more than it says
    read(archive.get(), index, [&](std::string_view some) {
      if ((bytes += some.size()) > most_bytes) refuse_large();
      for (const char c : some) nesting.read(c);
      if (nesting.deepest() <= deepest) return;
      throw Error(ErrorKind::model, file + ": the code in " + name + " is nested more than " + std::to_string(deepest) +
                                        " deep, which can't be read: compute it in more steps");
    });
  }
}

}  // namespace onestep
