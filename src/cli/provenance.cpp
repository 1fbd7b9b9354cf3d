#include "provenance.hpp"

#include <openssl/evp.h>

#include <array>
#include <fstream>
#include <memory>

#include "onestep/error.hpp"
#include "terminal.hpp"

namespace onestep {
namespace {

std::string& command() {
  static std::string text;
  return text;
}

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    require(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void add(std::span<const std::byte> bytes) {
    require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }
  /// To be called once.
  std::string digits() {
    std::array<unsigned char, 32> digest;
    require(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1);
    std::string text;
    for (const unsigned char byte : digest) {
      text += "0123456789abcdef"[byte / 16];
      text += "0123456789abcdef"[byte % 16];
    }
    return text;
  }

 private:
  static void require(bool fine) {
    if (!fine) throw Error(ErrorKind::memory, "a SHA-256 can't be computed: OpenSSL refuses");
  }
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string sha256_of_files(const std::vector<std::string>& files, const std::stop_token& stop) {
  Sha256 sum;
  std::vector<char> block(1 << 16);
  for (const std::string& file : files) {
    std::ifstream stream(file, std::ios::binary);
    if (!stream) throw Error(ErrorKind::file, file + ": can't be read for its SHA-256");
    while (stream && !stop.stop_requested()) {
      stream.read(block.data(), static_cast<std::streamsize>(block.size()));
      sum.add(std::as_bytes(std::span(block)).first(static_cast<std::size_t>(stream.gcount())));
    }
    if (!stream.eof()) throw Error(ErrorKind::file, file + ": can't be read for its SHA-256");
  }
  return sum.digits();
}

std::string sha256_of(std::span<const std::byte> bytes) {
  Sha256 sum;
  sum.add(bytes);
  return sum.digits();
}

void remember_command(int argc, char** argv) {
  command() = "onestep";
  for (int i = 1; i < argc; ++i) command().append(" ").append(quoted(argv[i]));
}

std::string quoted(const std::string& argument) {
  const char* plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+,./:@%";
  if (!argument.empty() && argument.find_first_not_of(plain) == std::string::npos) return argument;
  std::string text(1, '\'');
  for (const char c : argument) {
    if (c == '\'') text.append("'\\'");
    text.push_back(c);
  }
  text.push_back('\'');
  return text;
}

Request drawn_again(const Request& request, std::span<const Sample> samples) {
  Request again = request;
  again.seeds.clear();
  again.labels.clear();
  for (const Sample& sample : samples) {
    again.seeds.push_back(sample.seed);
    if (sample.label) again.labels.push_back(*sample.label);
  }
  return again;
}

nlohmann::ordered_json facts_of(const Piece& piece, const ModelInfo& info) {
  const Sample& sample = piece.sample;
  return {{"model", info.name},
          {"sampler", piece.report.sampler},
          {"levels", piece.report.levels},
          {"seeds", {sample.seed}},
          {"key", sample.label ? nlohmann::ordered_json(label_text(*sample.label, info)) : nlohmann::ordered_json()},
          {"bars", sample.shape.at(2) / sixteenths_a_bar}};
}

nlohmann::ordered_json labels_of(std::span<const Sample> samples) {
  nlohmann::ordered_json labels = nlohmann::ordered_json::array();
  for (const Sample& sample : samples) {
    labels.push_back(sample.label ? nlohmann::ordered_json(*sample.label) : nlohmann::ordered_json());
  }
  return labels;
}

ModelHash::ModelHash(const std::string& model)
    : text_(std::async(std::launch::async | std::launch::deferred, [model, stop = gone_.get_token()] {
        const auto [path, info] = describe_model(model);
        std::vector<std::string> files;
        for (const auto& [name, file] : info.components) files.push_back(path + "/" + file);
        files.insert(files.begin(), files.empty() ? path : path + "/onestep.json");
        return sha256_of_files(files, stop);
      })) {}

std::vector<std::pair<std::string, std::string>> Provenance::texts(nlohmann::ordered_json facts,
                                                                   bool with_command) const {
  if (with_command) facts["command"] = command();
  facts["model_sha256"] = model_sha256_;
  return {{"Software", "onestep " ONESTEP_VERSION}, {"onestep", json_text(facts)}};
}

}  // namespace onestep
