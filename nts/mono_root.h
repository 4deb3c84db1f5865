// chrony's experimental extension field 0xF323, "monotonic/root", with which a client asks for what NTPv5
// will have: a root delay and dispersion finer than 16.16 s, and the receive stamp on a line that is never
// corrected in phase, so that it learns our rate without our corrections (chronyd: `server X extfield F323`).
//
//   magic 0xF5BEDD9A 4 | root delay 4 | root dispersion 4 | monotonic receive stamp 8 | its epoch 4
//
// Delay and dispersion are 4.28 s, rounded up, all ones when they do not fit. A request holds the magic and
// zeros. Stamps under one epoch lie on one line; a stamp of zero says that there is none, and all else holds.
// chrony (ntp_core.c, in 4.2 and later) looks for the field in the clear, anywhere before an authenticator,
// and takes any order; a body of another length or without the magic is a field that nobody knows.
#pragma once

#include <cstdint>

#include "nts/extension.h"
#include "nts/ntp_time.h"
#include "nts/wire.h"

namespace nts {

inline constexpr std::uint32_t mono_root_magic = 0xf5bedd9a;
inline constexpr std::uint32_t mono_root_field_bytes = 28;  // as long in the request as in the answer

// What an answer's field says. Unless told otherwise, that nothing is known.
struct MonoRoot {
  std::uint32_t root_delay = 0xffffffff;  // 4.28 s
  std::uint32_t root_dispersion = 0xffffffff;
  NtpTime received{};  // zero: there is no line
  std::uint32_t epoch = 0;
};

// 4.28 s, rounded up and saturating: an error is never understated.
[[nodiscard]] constexpr std::uint32_t fine_from_ns_rounded_up(std::int64_t ns) noexcept {
  constexpr std::uint64_t ns_per_s = 1'000'000'000;
  if (ns <= 0) return 0;
  if (ns >= 16 * static_cast<std::int64_t>(ns_per_s)) return 0xffffffff;
  const std::uint64_t units = ((static_cast<std::uint64_t>(ns) << 28) + ns_per_s - 1) / ns_per_s;
  return units < 0xffffffff ? static_cast<std::uint32_t>(units) : 0xffffffff;
}

// True when the field `field` of `at` asks for an answer with one.
[[nodiscard]] inline bool is_mono_root(const std::uint8_t* at, const Field& field) noexcept {
  return field.type == FieldType::mono_root && field.bytes == mono_root_field_bytes &&
         load_u32(at + field.body_offset()) == mono_root_magic;
}

inline void write_mono_root(std::uint8_t* at, const MonoRoot& root) noexcept {
  write_field_header(at, FieldType::mono_root, mono_root_field_bytes);
  store_u32(at + 4, mono_root_magic);
  store_u32(at + 8, root.root_delay);
  store_u32(at + 12, root.root_dispersion);
  store_u64(at + 16, root.received.units);
  store_u32(at + 24, root.epoch);
}

}  // namespace nts
