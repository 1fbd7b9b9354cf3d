#include <zip.h>

#include <array>
#include <deque>
#include <memory>
#include <sstream>

#include "input_file.hpp"
#include "npy.hpp"
#include "onestep/error.hpp"
#include "output_file.hpp"

namespace onestep {

void write_npz(const std::string& file, const std::vector<std::pair<std::string, ArrayView>>& arrays) {
  OutputFile output(file);
  const auto fail = [&](const zip_error_t* error) {
    if (zip_error_system_type(error) == ZIP_ET_SYS) output.fail(zip_error_code_system(error));
    throw Error(ErrorKind::file,
                file + ": can't be written: libzip error " + std::to_string(zip_error_code_zip(error)));
  };
  int code = 0;
  std::unique_ptr<zip_t, decltype(&zip_discard)> zip(
      zip_open(output.temporary().c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code), zip_discard);
  if (!zip) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    fail(&error);
  }

  // zip_close reads header and numbers from where they lie.
  std::deque<std::string> headers;
  for (const auto& [name, array] : arrays) {
    const std::string& header = headers.emplace_back(npy_header(array));
    const auto bytes = array_bytes(array);
    const auto fragment = [](const void* data, std::size_t size) {
      return zip_buffer_fragment_t{static_cast<zip_uint8_t*>(const_cast<void*>(data)), size};
    };
    const zip_buffer_fragment_t parts[] = {fragment(header.data(), header.size()),
                                           fragment(bytes.data(), bytes.size())};
    zip_source_t* source = zip_source_buffer_fragment(zip.get(), parts, bytes.empty() ? 1 : 2, 0);
    const zip_int64_t index = source ? zip_file_add(zip.get(), (name + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8) : -1;
    if (index < 0) {
      zip_source_free(source);
      fail(zip_get_error(zip.get()));
    }
    constexpr zip_uint16_t first_of_1980 = 1 << 5 | 1;  // the earliest day that a zip can hold, as in numpy.savez
    if (zip_set_file_compression(zip.get(), index, ZIP_CM_STORE, 0) != 0 ||
        zip_file_set_dostime(zip.get(), index, 0, first_of_1980, 0) != 0) {
      fail(zip_get_error(zip.get()));
    }
  }
  if (zip_close(zip.get()) != 0) fail(zip_get_error(zip.get()));
  zip.release();
  output.commit();
}

FloatArray read_npz(const std::string& file, const std::string& name) {
  { const InputFile exists(file); }
  const auto fail = [&](const std::string& what) { throw Error(ErrorKind::file, file + ": " + what); };
  int code = 0;
  const std::unique_ptr<zip_t, decltype(&zip_discard)> zip(zip_open(file.c_str(), ZIP_RDONLY, &code), zip_discard);
  if (!zip) fail("is no .npz file, or is damaged; write one with numpy.savez");
  const std::string entry = name + ".npy";
  zip_stat_t about;
  if (zip_stat(zip.get(), entry.c_str(), 0, &about) != 0) {
    std::string names;
    for (zip_int64_t i = 0; i < zip_get_num_entries(zip.get(), 0); ++i) {
      names += (names.empty() ? "" : ", ") + std::string(zip_get_name(zip.get(), i, 0));
    }
    fail("has no array " + name + "; it has " + names);
  }
  const std::unique_ptr<zip_file_t, decltype(&zip_fclose)> source(zip_fopen(zip.get(), entry.c_str(), 0), zip_fclose);
  if (!source) fail("the array " + name + " can't be read; copy or make the file again");
  // Read piece by piece: a size that the file only claims takes no memory.
  std::string bytes;
  std::array<char, 1 << 16> piece;
  zip_int64_t read = 0;
  while ((read = zip_fread(source.get(), piece.data(), piece.size())) > 0) {
    bytes.append(piece.data(), static_cast<std::size_t>(read));
  }
  if (read < 0 || bytes.size() != about.size) fail("the array " + name + " is damaged; copy or make the file again");
  std::istringstream stream(std::move(bytes));
  return read_npy(stream, about.size, file + ": " + entry);
}

}  // namespace onestep
