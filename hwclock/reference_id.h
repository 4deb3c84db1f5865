// "GPS" as a reference id (RFC 5905 section 7.3): four octets, the first one in the high bits, as a
// ClockState holds it.
#pragma once

#include <cstdint>
#include <string_view>

namespace hwclock {

// What is beyond four octets is cut, what lacks is zero.
[[nodiscard]] constexpr std::uint32_t reference_id_of(std::string_view text) noexcept {
  std::uint32_t id = 0;
  for (std::size_t i = 0; i < 4; ++i)
    id = id << 8 | (i < text.size() ? static_cast<std::uint8_t>(text[i]) : 0U);
  return id;
}
static_assert(reference_id_of("GPS") == 0x47505300 && reference_id_of("LOCLX") == 0x4c4f434c);

}  // namespace hwclock
