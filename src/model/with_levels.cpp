#include <caffe2/serialize/inline_container.h>

#include <nlohmann/json.hpp>

#include "metadata.hpp"
#include "model_file.hpp"
#include "onestep/error.hpp"
#include "torch_error.hpp"

namespace onestep {

std::string with_levels(const std::string& file, const std::map<int, std::vector<double>>& levels) {
  read_model_info(file);  // says what is wrong with a file that is no model
  const std::string about = "extra/onestep.json";
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
      if (name == about) {
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
