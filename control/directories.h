// The directories the roles live in: made or, after a restart, validated and used again; never repaired when
// somebody else had a hand in them.
//
// The page directory's layout is that of dataplane/shm/segment.h: root owns the directory, each role owns its
// sub-directory, so that nobody can put a page where another role looks for it.
#pragma once

#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <sys/types.h>

#include "control/descriptor.h"

namespace control {

// A wrong machine: what() is one sentence with the path and what to do.
class DirectoryError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Where the launcher's own sockets are, in the page directory.
[[nodiscard]] std::filesystem::path launcher_directory(const std::filesystem::path& pages);

// Makes `pages` and its sub-directories. Needs root. Throws DirectoryError or shm::SegmentError (no tmpfs).
void make_page_directories(const std::filesystem::path& pages);

// Throws DirectoryError unless the directory of the key file is keeper's alone, or can still be made so.
void require_keys_directory(const std::filesystem::path& directory);

// Makes it, or requires what is there. Throws DirectoryError.
void make_keys_directory(const std::filesystem::path& directory);

// The same for the directory in which the clock role remembers its oscillator.
void require_memory_directory(const std::filesystem::path& directory);
void make_memory_directory(const std::filesystem::path& directory);

// Throws DirectoryError unless every user may run `program`: it and all directories above it.
void require_runnable_by_all(const std::filesystem::path& program);

// Two locks say who works in a page directory. `ours` is the launcher's: it closes on exec, and a second
// launcher is refused at once. `family` is inherited by every child: after a launcher was killed it stays
// locked until the last of them has ended, and the next launcher waits for that.
struct DirectoryLocks {
  Descriptor ours;
  Descriptor family;
};

// Requires make_page_directories(). Throws DirectoryError when another launcher lives, or when a killed one's
// children have not ended within `patience`.
[[nodiscard]] DirectoryLocks lock_directories(const std::filesystem::path& pages,
                                              std::chrono::milliseconds patience);

}  // namespace control
