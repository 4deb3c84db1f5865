// What stands on the wire: network-order loads and stores, and every code point and size of RFC 5905, RFC
// 7822 and RFC 8915 that the packet core knows. Bounds are the caller's business.
#pragma once

#include <cstdint>
#include <cstring>

namespace nts {

[[nodiscard]] inline std::uint16_t load_u16(const std::uint8_t* at) noexcept {
  std::uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return __builtin_bswap16(value);
}
[[nodiscard]] inline std::uint32_t load_u32(const std::uint8_t* at) noexcept {
  std::uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return __builtin_bswap32(value);
}
[[nodiscard]] inline std::uint64_t load_u64(const std::uint8_t* at) noexcept {
  std::uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return __builtin_bswap64(value);
}
inline void store_u16(std::uint8_t* at, std::uint16_t value) noexcept {
  value = __builtin_bswap16(value);
  std::memcpy(at, &value, sizeof value);
}
inline void store_u32(std::uint8_t* at, std::uint32_t value) noexcept {
  value = __builtin_bswap32(value);
  std::memcpy(at, &value, sizeof value);
}
inline void store_u64(std::uint8_t* at, std::uint64_t value) noexcept {
  value = __builtin_bswap64(value);
  std::memcpy(at, &value, sizeof value);
}

// The header, RFC 5905 section 7.3: offsets in octets.
inline constexpr std::uint32_t header_bytes = 48;
namespace header {
inline constexpr std::uint32_t leap_version_mode = 0;
inline constexpr std::uint32_t stratum = 1;
inline constexpr std::uint32_t poll = 2;
inline constexpr std::uint32_t precision = 3;
inline constexpr std::uint32_t root_delay = 4;
inline constexpr std::uint32_t root_dispersion = 8;
inline constexpr std::uint32_t reference_id = 12;
inline constexpr std::uint32_t reference_time = 16;
inline constexpr std::uint32_t origin_time = 24;
inline constexpr std::uint32_t receive_time = 32;
inline constexpr std::uint32_t transmit_time = 40;
}  // namespace header

inline constexpr std::uint8_t mode_client = 3;
inline constexpr std::uint8_t mode_server = 4;
inline constexpr std::uint8_t leap_unsynchronised = 3;
inline constexpr std::uint8_t poll_min = 4;                  // RFC 5905 MINPOLL: 16 s
inline constexpr std::uint8_t poll_max = 17;                 // RFC 5905 MAXPOLL: 36 h
inline constexpr std::uint32_t kiss_ntsn = 0x4e54534e;       // "NTSN", RFC 8915 section 5.7
inline constexpr std::uint32_t kiss_code_rate = 0x52415445;  // "RATE", RFC 5905 section 7.4
inline constexpr std::uint32_t kiss_code_deny = 0x44454e59;  // "DENY", the same

// Extension fields, RFC 7822 and RFC 8915 section 7.5.
enum class FieldType : std::uint16_t {
  unique_identifier = 0x0104,
  cookie = 0x0204,
  cookie_placeholder = 0x0304,
  authenticator = 0x0404,
  mono_root = 0xf323,  // experimental: mono_root.h
};
inline constexpr std::uint32_t field_header_bytes = 4;
inline constexpr std::uint32_t field_bytes_min = 16;       // RFC 7822 section 3
inline constexpr std::uint32_t last_field_bytes_min = 28;  // the same, when no MAC follows
inline constexpr std::uint32_t unique_identifier_body_min = 32;
inline constexpr std::uint32_t authenticator_lengths_bytes = 4;  // nonce length, ciphertext length
inline constexpr std::uint32_t answer_nonce_bytes = 16;          // of AES-SIV: NTPsec takes nothing else

[[nodiscard]] constexpr std::uint32_t padded_to_4(std::uint32_t bytes) noexcept { return (bytes + 3) & ~3U; }

}  // namespace nts
