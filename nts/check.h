// Checks that stay on in release builds.
//
// `assert` is for what we believe; `check` is for what would corrupt memory or leak a key if it were false.
// A failed check stops the process: a supervisor restarts it on the same pages and no cookie is lost.
#pragma once

#include <cstdlib>

namespace nts {

inline void check(bool condition) noexcept {
  if (!condition) [[unlikely]] {
    std::abort();
  }
}

}  // namespace nts
