// Does the process that a page speaks of still live? Pages outlive their writers: one killed with SIGKILL
// cannot clear its line, and its process id is free for reuse.
#pragma once

#include <cstdint>
#include <sys/types.h>

namespace control {

// True when `pid` is a living process of `uid`. `pid` may be any number: it comes from another process.
[[nodiscard]] bool is_process_of(std::uint64_t pid, uid_t uid);

}  // namespace control
