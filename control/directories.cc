#include "control/directories.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "control/config.h"
#include "control/file_check.h"
#include "control/roles.h"
#include "dataplane/shm/segment.h"

namespace control {
namespace {

namespace fs = std::filesystem;

constexpr mode_t open_to_readers = 0755;
constexpr mode_t private_mode = 0700;
constexpr std::chrono::milliseconds lock_retry_interval{20};

[[noreturn]] void fail(const fs::path& path, const std::string& what) {
  throw DirectoryError(path.native() + ": " + what);
}

std::string reason() { return std::strerror(errno); }

std::string octal(mode_t mode) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%04o", mode & 07777U);
  return text.data();
}

// Looks at the directory itself, never at what a link points to.
struct stat look_at(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0)
    fail(path, "cannot be examined (" + reason() + "); check the disk");
  if (S_ISLNK(status.st_mode)) fail(path, "is a symbolic link; remove it, or name the directory itself");
  if (!S_ISDIR(status.st_mode)) fail(path, "is in the way and no directory; move it elsewhere");
  return status;
}

// True when it was made just now, and then it belongs to uid:gid with exactly `mode`.
bool make(const fs::path& path, uid_t uid, gid_t gid, mode_t mode) {
  if (::mkdir(path.c_str(), private_mode) != 0) {
    if (errno == EEXIST) return false;
    fail(path, "cannot be made (" + reason() + "); make the directory above it first");
  }
  if (::chown(path.c_str(), uid, gid) != 0 || ::chmod(path.c_str(), mode) != 0) {
    const std::string why = reason();
    ::rmdir(path.c_str());  // half made, it would be refused for ever
    fail(path, "cannot be given to user " + std::to_string(uid) + " (" + why + "); see the file system");
  }
  return true;
}

void make_or_validate(const fs::path& path, uid_t uid, gid_t gid, mode_t mode) {
  if (make(path, uid, gid, mode)) return;
  const struct stat status = look_at(path);
  if (status.st_uid != uid || status.st_gid != gid) {
    fail(path, "belongs to " + std::to_string(status.st_uid) + ":" + std::to_string(status.st_gid) +
                   " and not to " + std::to_string(uid) + ":" + std::to_string(gid) +
                   "; see who made it, and remove or chown it");
  }
  if ((status.st_mode & 07777) != mode) {
    fail(path, "has mode " + octal(status.st_mode) + " and not " + octal(mode) +
                   "; see who changed it, and chmod it");
  }
}

void require_enterable_by_all(const fs::path& directory) {
  for (fs::path above = directory;; above = above.parent_path()) {
    struct stat status {};
    if (::stat(above.c_str(), &status) != 0)
      fail(above, "cannot be examined (" + reason() + "); check the path");
    if ((status.st_mode & S_IXOTH) == 0) {
      fail(above,
           "may not be entered by every user, and each role is one of its own; chmod o+x it, or use "
           "another place");
    }
    if (above == above.root_path()) return;
  }
}

// Ancestors, root's, that everybody may pass through.
void make_above(const fs::path& directory) {
  const fs::path above = directory.parent_path();
  if (above == directory || fs::exists(above)) return;
  make_above(above);
  make(above, 0, 0, open_to_readers);
}

// `purpose`: what it is for, to follow its name.
void require_private_directory(const fs::path& directory, const Identity& owner, const std::string& purpose) {
  fs::path there = directory;  // or the nearest above it that is
  for (struct stat ignored{}; ::lstat(there.c_str(), &ignored) != 0 && errno == ENOENT;)
    there = there.parent_path();
  if (there != directory) return require_enterable_by_all(there);
  const struct stat status = look_at(directory);
  if (status.st_uid != owner.uid) {
    fail(directory, purpose + " and belongs to user " + std::to_string(status.st_uid) + "; chown it to " +
                        std::to_string(owner.uid) + ", the " + std::string(owner.name));
  }
  if ((status.st_mode & 07777) != private_mode) {
    fail(directory, purpose + " and has mode " + octal(status.st_mode) + "; chmod it to 0700");
  }
  require_enterable_by_all(directory.parent_path());
}

void make_private_directory(const fs::path& directory, const Identity& owner, const std::string& purpose) {
  make_above(directory);
  make(directory, owner.uid, owner.gid, private_mode);
  require_private_directory(directory, owner, purpose);
}

Descriptor open_directory(const fs::path& path) {
  Descriptor opened(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!opened.is_open()) fail(path, "cannot be opened (" + reason() + "); see who changed it");
  return opened;
}

bool lock(const Descriptor& directory) {
  while (::flock(directory.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EINTR) return false;
  }
  return true;
}

}  // namespace

fs::path launcher_directory(const fs::path& pages) { return pages / "launcher"; }

void make_page_directories(const fs::path& pages) {
  try {
    require_plain_path(pages);
  } catch (const FileError& error) {
    throw DirectoryError(std::string("page directory: ") + error.what());
  }
  if (pages.native().size() > pages_path_bytes_max) {
    fail(pages, "is too long for the sockets in it; choose a path of at most " +
                    std::to_string(pages_path_bytes_max) + " characters");
  }
  make_or_validate(pages, 0, 0, open_to_readers);
  shm::require_tmpfs(pages);
  require_enterable_by_all(pages);
  make_or_validate(launcher_directory(pages), 0, 0, open_to_readers);
  for (const Identity& identity : identities) {
    if (identity.role == Role::upstream) continue;  // it writes nothing and listens nowhere
    make_or_validate(pages / identity.name, identity.uid, identity.gid, open_to_readers);
  }
}

void require_keys_directory(const fs::path& directory) {
  require_private_directory(directory, identity_of(Role::keeper), "holds the keys");
}

void make_keys_directory(const fs::path& directory) {
  make_private_directory(directory, identity_of(Role::keeper), "holds the keys");
}

void require_memory_directory(const fs::path& directory) {
  require_private_directory(directory, identity_of(Role::clock), "holds the clock's memory");
}

void make_memory_directory(const fs::path& directory) {
  make_private_directory(directory, identity_of(Role::clock), "holds the clock's memory");
}

void require_runnable_by_all(const fs::path& program) {
  std::error_code error;
  const fs::path real = fs::canonical(program, error);
  if (error) fail(program, "cannot be found (" + error.message() + "); build it, or give its directory");
  struct stat status {};
  if (::stat(real.c_str(), &status) != 0 || !S_ISREG(status.st_mode) || (status.st_mode & S_IXOTH) == 0 ||
      (status.st_mode & S_IROTH) == 0) {
    fail(real, "is no program that every user may run; chmod it to 0755");
  }
  require_enterable_by_all(real.parent_path());
}

DirectoryLocks lock_directories(const fs::path& pages, std::chrono::milliseconds patience) {
  DirectoryLocks locks{open_directory(pages), open_directory(launcher_directory(pages))};
  if (!lock(locks.ours)) {
    fail(pages, "another launcher works here; stop that one first, or give this one other pages");
  }
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!lock(locks.family)) {
    if (std::chrono::steady_clock::now() >= deadline) {
      fail(pages, "processes of a launcher that was killed still run here; stop those first");
    }
    std::this_thread::sleep_for(lock_retry_interval);
  }
  return locks;
}

}  // namespace control
