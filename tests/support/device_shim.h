// A scripted /dev/pps0 and /dev/ptp0: what open, ioctl, poll, read and clock_gettime answer for them.
//
// Linked into a test program, or loaded by LD_PRELOAD into a role; then the script is the file that
// NOONMARK_DEVICES names, mapped by both sides. The NIC's clock is CLOCK_REALTIME plus an offset; pulses come
// at its whole seconds. Fields are atomics because both sides touch them at once.
#pragma once

#include <atomic>
#include <cstdint>

namespace device_shim {

// All 0: a good device that has every method.
struct Script {
  std::atomic<std::int64_t> phc_offset_ns;      // the NIC's clock minus CLOCK_REALTIME
  std::atomic<std::int64_t> phc_frozen_at_ns;   // what it says for ever; 0: it goes
  std::atomic<std::int64_t> phc_rate_ppb;       // how much faster than that it goes since ...
  std::atomic<std::int64_t> phc_rate_since_ns;  // ... then, of CLOCK_REALTIME
  std::atomic<std::int64_t> methods_missing;    // the first so many of precise, extended, basic
  std::atomic<std::int64_t> busy;               // so many of its answers are EBUSY
  std::atomic<std::int64_t> error;              // errno of every other question; 0: none
  std::atomic<std::int64_t> short_reads;        // so many reads end in the middle of an event
  std::atomic<std::int64_t> duplicates;         // each event comes so many times more
  std::atomic<std::int64_t> no_strict_flags;    // an old driver: EXTTS_REQUEST2 is unknown
  std::atomic<std::int64_t> no_pulses;          // the line is cut
  std::atomic<std::int64_t> pulse_offset_ns;    // how late pulses are
  std::atomic<std::int64_t> both_edges;         // a driver that stamps the end of a pulse, 100 ms later, too
  std::atomic<std::int64_t> pins_busy;          // another program holds pins and channels
  std::atomic<std::int64_t> asked;              // questions for the time so far
  std::atomic<std::int64_t> answered_by;        // PhcMethod of the last answer
};

Script& script();

}  // namespace device_shim
