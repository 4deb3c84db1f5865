#include "control/file_check.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/descriptor.h"

namespace control {
namespace {

std::string reason() { return std::strerror(errno); }

// `right`: S_IROTH or S_IXOTH, looked for where it counts for this user.
bool may(const std::filesystem::path& path, mode_t right, uid_t uid, gid_t gid) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    throw FileError("cannot look at " + path.native() + " (" + reason() + "); correct the path");
  }
  const unsigned shift = status.st_uid == uid ? 6 : status.st_gid == gid ? 3 : 0;
  return (status.st_mode >> shift & right) != 0;
}

}  // namespace

void require_plain_path(const std::filesystem::path& path) {
  const std::string& text = path.native();
  if (text.empty()) throw FileError("the path is empty; give an absolute path");
  if (text.find('\0') != std::string::npos) throw FileError("the path holds a NUL; give a plain path");
  if (!path.is_absolute()) throw FileError("the path '" + text + "' is relative; write it from / on");
  for (const auto& part : path) {
    if (part == "..") throw FileError("the path '" + text + "' climbs with '..'; write it without");
  }
}

std::string read_checked_file(const std::filesystem::path& path, std::size_t bytes_max) {
  require_plain_path(path);
  // O_NONBLOCK: opening a FIFO would otherwise wait for a writer that never comes.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.is_open()) throw FileError("cannot open it (" + reason() + "); check path and permissions");
  struct stat status {};
  if (::fstat(file.get(), &status) != 0)
    throw FileError("cannot look at it (" + reason() + "); check the disk");
  if (!S_ISREG(status.st_mode)) throw FileError("it is no regular file; give the path of a text file");
  if ((status.st_mode & S_IWOTH) != 0) {
    throw FileError("anybody may write it; take that away with chmod o-w");
  }
  const std::string too_large =
      "it is larger than " + std::to_string(bytes_max) + " octets; this cannot be the right file";
  if (status.st_size > static_cast<off_t>(bytes_max)) throw FileError(too_large);
  std::string text;
  std::array<char, 16384> buffer;
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw FileError("cannot read it (" + reason() + "); check the disk");
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    // The size was only a promise: the file may grow under us, and /proc says 0.
    if (text.size() > bytes_max) throw FileError(too_large);
  }
}

void require_readable_by(const std::filesystem::path& path, uid_t reader, gid_t reader_group) {
  const std::string who = "uid " + std::to_string(reader);
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  if (error) throw FileError("cannot look at it (" + error.message() + "); correct the path");
  for (std::filesystem::path above = real; above != above.root_path();) {
    above = above.parent_path();
    if (!may(above, S_IXOTH, reader, reader_group)) {
      throw FileError(who + " may not enter " + above.native() + "; chmod o+x it, or use another place");
    }
  }
  if (!may(real, S_IROTH, reader, reader_group)) {
    throw FileError(who + " may not read it; chmod it to 0644");
  }
}

void require_secret_file(const std::filesystem::path& path, uid_t reader, gid_t reader_group) {
  require_plain_path(path);
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    throw FileError("cannot look at it (" + reason() + "); create the key or correct the path");
  }
  if (S_ISLNK(status.st_mode)) throw FileError("it is a symbolic link; name the key file itself");
  if (!S_ISREG(status.st_mode)) throw FileError("it is no regular file; name the key file itself");
  const std::string owner = std::to_string(reader);
  if (status.st_uid != reader && status.st_uid != 0) {
    throw FileError("it belongs to uid " + std::to_string(status.st_uid) + "; chown it to uid " + owner);
  }
  if ((status.st_mode & (S_IRWXO | S_IWGRP | S_IXGRP)) != 0) {
    throw FileError("others than its owner may read or write it; chmod it to 0600");
  }
  const bool group_reads = (status.st_mode & S_IRGRP) != 0;
  if (group_reads && status.st_gid != reader_group && status.st_gid != 0) {
    throw FileError("group " + std::to_string(status.st_gid) + " may read it; chmod it to 0600");
  }
  const bool reader_reads = status.st_uid == reader ? (status.st_mode & S_IRUSR) != 0
                                                    : group_reads && status.st_gid == reader_group;
  if (!reader_reads && reader != 0) {
    throw FileError("uid " + owner + " cannot read it; chown it to that uid and chmod it to 0600");
  }
}

}  // namespace control
