#include "model_file.hpp"

#include <caffe2/serialize/inline_container.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "metadata.hpp"
#include "onestep/error.hpp"
#include "other_files.hpp"
#include "torch_error.hpp"

namespace onestep {
namespace {

namespace fs = std::filesystem;

constexpr const char* record = "extra/onestep.json";

[[noreturn]] void refuse(const std::string& model, const std::string& found) {
  throw Error(ErrorKind::model, model + ": " + found);
}

void require_small(const std::string& model, std::uintmax_t bytes) {
  if (bytes > most_metadata_bytes) {
    refuse(model, "onestep.json has " + std::to_string(bytes) + " bytes; at most " +
                      std::to_string(most_metadata_bytes) + " are read");
  }
}

/// The text of the onestep.json of a model folder.
std::string text_in_folder(const std::string& folder) {
  const fs::path file = fs::path(folder) / "onestep.json";
  std::error_code error;
  if (!fs::is_regular_file(file, error)) {
    refuse(folder, "is a folder without onestep.json; give a model file, or a folder that models/export.py wrote");
  }
  require_small(folder, fs::file_size(file, error));
  std::ifstream stream(file, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(stream), {});
  if (error || stream.bad() || !stream) refuse(folder, "its onestep.json can't be read");
  return text;
}

/// Of the onestep.json inside a model file.
std::string text_in_file(const std::string& file) {
  try {
    caffe2::serialize::PyTorchStreamReader reader(file);
    if (!reader.hasRecord("constants.pkl")) {
      const std::string kind = other_kind_of_file(file);
      refuse(file, "is " + (kind.empty() ? "no TorchScript file (a Python state dict?); write one with models/export.py"
                                         : kind));
    }
    if (!reader.hasRecord(record)) {
      refuse(file, "is TorchScript, but holds no onestep.json; write it with models/export.py");
    }
    require_small(file, reader.getRecordSize(record));
    const auto [data, length] = reader.getRecord(record);
    return {static_cast<const char*>(data.get()), length};
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    const std::string kind = other_kind_of_file(file);
    refuse(file, "is " + (kind.empty()
                              ? "no TorchScript file, or is damaged (" + in_one_line(e) + "); copy or export it again"
                              : kind));
  }
}

}  // namespace

ModelInfo read_model_info(const std::string& model) {
  std::error_code error;
  const auto status = fs::status(model, error);
  if (error && error != std::errc::no_such_file_or_directory) refuse(model, "can't be read: " + error.message());
  if (!fs::exists(status)) refuse(model, "no such file");
  if (fs::is_directory(status)) {
    ModelInfo info = parse_metadata(text_in_folder(model), model);
    if (info.components.empty())
      refuse(model, "onestep.json: components is missing: a folder's model consists of files");
    for (const auto& [name, file] : info.components) {
      if (!fs::is_regular_file(fs::path(model) / file, error))
        refuse(model, "onestep.json: components." + name + " = \"" + file + "\" is no file in this folder");
    }
    return info;
  }
  if (!fs::is_regular_file(status)) refuse(model, "is a pipe or a device; give the path of an ordinary file");
  const auto size = fs::file_size(model, error);
  if (error) refuse(model, "can't be read: " + error.message());
  if (size == 0) refuse(model, "is empty; copy or export it again");
  ModelInfo info = parse_metadata(text_in_file(model), model);
  if (!info.components.empty()) {
    refuse(model, "onestep.json: components are files of a model folder; inside one file there is the denoiser alone");
  }
  return info;
}

std::string component_file(const std::string& model, const ModelInfo& info, const std::string& component) {
  const auto file = info.components.find(component);
  return file == info.components.end() ? model : (fs::path(model) / file->second).string();
}

std::string with_levels(const std::string& file, const std::map<int, std::vector<double>>& levels) {
  read_model_info(file);  // says what is wrong with a file that is no model
  if (fs::is_directory(file))
    refuse(file, "is a model folder; write the levels into its onestep.json, under sampling.levels");
  std::string bytes;
  try {
    caffe2::serialize::PyTorchStreamReader reader(file);
    caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, std::size_t size) {
      bytes.append(static_cast<const char*>(data), size);
      return size;
    });
    writer.setMinVersion(reader.version());
    for (const std::string& name : reader.getAllRecords()) {
      const auto [data, size] = reader.getRecord(name);
      if (name == record) {
        const auto* text = static_cast<const char*>(data.get());
        auto json = nlohmann::ordered_json::parse(text, text + size);
        for (const auto& [steps, found] : levels) json["sampling"]["levels"][std::to_string(steps)] = found;
        const std::string changed = json.dump(1);
        parse_metadata(changed, file);  // levels that break a rule stay out of the file
        writer.writeRecord(name, changed.data(), changed.size());
      } else if (name != "version" && name != ".data/serialization_id") {  // which the writer adds
        writer.writeRecord(name, data.get(), size);
      }
    }
    writer.writeEndOfFile();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(ErrorKind::model, file + ": can't be copied: " + in_one_line(error));
  }
  return bytes;
}

}  // namespace onestep
