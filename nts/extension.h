// Walking extension fields: the bounds of RFC 7822, once.
#pragma once

#include <cstdint>

#include "nts/wire.h"

namespace nts {

struct Field {
  std::uint32_t offset;  // of the field, header included
  std::uint32_t bytes;   // of the whole field
  FieldType type;
  [[nodiscard]] std::uint32_t body_offset() const noexcept { return offset + field_header_bytes; }
  [[nodiscard]] std::uint32_t body_bytes() const noexcept { return bytes - field_header_bytes; }
};

// Reads the field at `offset` of `at`, which has `end` octets. False unless the field has at least
// `bytes_min` octets, a multiple of 4, and ends inside. Ensures on true: offset + bytes <= end.
[[nodiscard]] inline bool read_field(const std::uint8_t* at, std::uint32_t offset, std::uint32_t end,
                                     std::uint32_t bytes_min, Field& field) noexcept {
  if (end - offset < field_header_bytes) return false;
  field.offset = offset;
  field.type = static_cast<FieldType>(load_u16(at + offset));
  field.bytes = load_u16(at + offset + 2);
  return field.bytes >= bytes_min && field.bytes % 4 == 0 && field.bytes <= end - offset;
}

inline void write_field_header(std::uint8_t* at, FieldType type, std::uint32_t bytes) noexcept {
  store_u16(at, static_cast<std::uint16_t>(type));
  store_u16(at + 2, static_cast<std::uint16_t>(bytes));
}

}  // namespace nts
