// Places where a crash could hurt, by name, for the tests that crash there (tests/faults).
//
// In the product both functions are empty and no name is in any binary: tests/faults/failpoints_test.py
// looks. The binaries of tests/faults compile the files that use them a second time, with
// NOONMARK_FAILPOINTS, and bring the other half (tests/support/failpoint.cc), which does what the test asked
// for: kill, stop, wait, be late, or fail. Names are ROLE.what_has_just_been_done.
#pragma once

namespace shm::failpoint {

#ifdef NOONMARK_FAILPOINTS
// Not the names of the product's functions: a file compiled for it may be linked beside one that was not.
inline namespace armed {

void reach(const char* name) noexcept;

// The errno of the failure that the test asked for, or 0. Also a place like reach().
[[nodiscard]] int error_at(const char* name) noexcept;

}  // namespace armed
#else
[[gnu::always_inline]] inline void reach(const char*) noexcept {}
[[nodiscard, gnu::always_inline]] constexpr int error_at(const char*) noexcept { return 0; }
#endif

}  // namespace shm::failpoint
