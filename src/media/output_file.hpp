#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace onestep {

/// Writes a file, whole or not at all: under a temporary name in its folder, which is then renamed. An older file of
/// that name is replaced and keeps its mode; where the name is a symbolic link, the file that it points to is written.
/// Throws Error (file), which names the path, the system's reason and the way out, and leaves nothing behind: where the
/// folder is missing, is full or can't be written to, and where the path is a folder or a device.
void write_file(const std::string& path, std::span<const std::byte> bytes);

/// Throws Error (file) unless a file of this name can be written: to be asked before long work. An older file of that
/// name is left as it is.
void require_writable(const std::string& path);

}  // namespace onestep
