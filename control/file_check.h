// Files from people, looked at before they are believed: type, size, owner and mode, on the open descriptor
// so that nothing can be swapped between the look and the read.
#pragma once

#include <cstddef>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <sys/types.h>

namespace control {

// Of a certificate chain in PEM: a hundred times what real authorities give.
inline constexpr std::size_t certificate_bytes_max = 1 << 20;

// what() is "what is wrong; what to do", without the file's name: the caller puts it in front.
class FileError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws FileError unless `path` is absolute and free of ".." components.
void require_plain_path(const std::filesystem::path& path);

// The octets of a regular file of at most `bytes_max`. Follows no FIFO, device or directory into a wait.
// Refuses a relative path and a file that others may write. Throws FileError.
[[nodiscard]] std::string read_checked_file(const std::filesystem::path& path, std::size_t bytes_max);

// Throws FileError unless `reader` may read `path`, by its mode and by those of the directories above it.
void require_readable_by(const std::filesystem::path& path, uid_t reader, gid_t reader_group);

// Throws FileError unless `path` is a secret that only `reader` (or root) can read: a regular file, no
// symbolic link, owned by `reader` or root, nothing for others, and for a group at most the reader's own may
// read. The launcher and `check` call it for the TLS key.
void require_secret_file(const std::filesystem::path& path, uid_t reader, gid_t reader_group);

}  // namespace control
