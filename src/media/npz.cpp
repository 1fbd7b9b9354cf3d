#include <zip.h>

#include <deque>
#include <memory>

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

}  // namespace onestep
