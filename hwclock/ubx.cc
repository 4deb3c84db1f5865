#include "hwclock/ubx.h"

#include <algorithm>

#include "hwclock/calendar.h"

namespace hwclock {
namespace {

constexpr std::uint8_t sync_2 = 0x62;

using Payload = std::span<const std::uint8_t>;

// Little-endian, as everything in UBX. The caller has seen to the length.
std::uint32_t u32(Payload payload, std::size_t at) noexcept {
  return static_cast<std::uint32_t>(payload[at]) | static_cast<std::uint32_t>(payload[at + 1]) << 8 |
         static_cast<std::uint32_t>(payload[at + 2]) << 16 |
         static_cast<std::uint32_t>(payload[at + 3]) << 24;
}
std::int32_t i32(Payload payload, std::size_t at) noexcept {
  return static_cast<std::int32_t>(u32(payload, at));
}
std::int32_t i8(Payload payload, std::size_t at) noexcept { return static_cast<std::int8_t>(payload[at]); }
bool has_bits(std::uint8_t value, unsigned bits) noexcept { return (value & bits) == bits; }

std::optional<UbxMessage> read_time(Payload payload) noexcept {
  constexpr unsigned date_time_resolved = 0x07;
  constexpr unsigned fix_ok = 0x01;
  if (payload.size() < 92) return std::nullopt;
  const CivilTime time{
      payload[4] | payload[5] << 8, payload[6], payload[7], payload[8], payload[9], payload[10]};
  const std::optional<std::int64_t> utc_s = utc_seconds_of(time);
  if (!utc_s) return std::nullopt;
  UbxTime result;
  result.utc_s = *utc_s;
  result.nanoseconds = i32(payload, 16);
  if (result.nanoseconds < -1'000'000'000 || result.nanoseconds > 1'000'000'000) return std::nullopt;
  result.accuracy_ns = u32(payload, 12);
  result.is_resolved = has_bits(payload[11], date_time_resolved);
  result.has_fix = has_bits(payload[21], fix_ok);
  result.satellites = payload[23];
  constexpr double degrees_a_unit = 1e-7;
  constexpr double mm_a_metre = 1000.0;
  result.place = {degrees_a_unit * i32(payload, 28), degrees_a_unit * i32(payload, 24),
                  u32(payload, 40) / mm_a_metre};
  return result;
}

std::optional<UbxMessage> read_status(Payload payload) noexcept {
  if (payload.size() < 16) return std::nullopt;
  return UbxStatus{static_cast<std::uint8_t>(payload[7] >> 3 & 0x03)};
}

std::optional<UbxMessage> read_pulse(Payload payload) noexcept {
  constexpr unsigned error_invalid = 0x10;
  constexpr std::int32_t believable_ps = 1'000'000;  // a microsecond: no receiver's clock is that slow
  if (payload.size() < 16) return std::nullopt;
  UbxPulse result;
  result.quantisation_ps = i32(payload, 8);
  result.has_quantisation = (payload[14] & error_invalid) == 0 && result.quantisation_ps > -believable_ps &&
                            result.quantisation_ps < believable_ps;
  return result;
}

std::optional<UbxMessage> read_leap(Payload payload) noexcept {
  if (payload.size() < 24) return std::nullopt;
  UbxLeap result;
  result.is_current_valid = has_bits(payload[23], 0x01);
  result.gps_minus_utc_s = i8(payload, 9);
  result.change_s = i8(payload, 11);
  result.seconds_to_change = i32(payload, 12);
  result.is_change_valid = has_bits(payload[23], 0x02) && result.change_s >= -1 && result.change_s <= 1;
  return result;
}

std::optional<UbxMessage> read_radio(Payload payload) noexcept {
  constexpr std::size_t head_bytes = 4;
  constexpr std::size_t block_bytes = 24;
  if (payload.size() < head_bytes) return std::nullopt;
  const std::size_t blocks = payload[1];
  if (blocks == 0 || payload.size() < head_bytes + blocks * block_bytes) return std::nullopt;
  UbxRadio result;
  std::uint8_t antenna = 0;
  for (std::size_t i = 0; i < blocks; ++i) {
    const Payload block = payload.subspan(head_bytes + i * block_bytes, block_bytes);
    if (block[2] > static_cast<std::uint8_t>(Antenna::open)) return std::nullopt;
    result.jamming_state = std::max<std::uint8_t>(result.jamming_state, block[1] & 0x03);
    result.jamming_indicator = std::max(result.jamming_indicator, block[16]);
    antenna = std::max(antenna, block[2]);
  }
  result.antenna = static_cast<Antenna>(antenna);
  return result;
}

// One band; receivers up to the M8 say it so. Those of the M6 have more pins to tell of, and the indicator
// later.
std::optional<UbxMessage> read_hardware(Payload payload) noexcept {
  constexpr std::size_t m8_bytes = 60;
  constexpr std::size_t m6_bytes = 68;
  if (payload.size() != m8_bytes && payload.size() != m6_bytes) return std::nullopt;
  if (payload[20] > static_cast<std::uint8_t>(Antenna::open)) return std::nullopt;
  UbxRadio result;
  result.antenna = static_cast<Antenna>(payload[20]);
  result.jamming_state = static_cast<std::uint8_t>(payload[22] >> 2 & 0x03);
  result.jamming_indicator = payload[payload.size() == m8_bytes ? 45 : 53];
  return result;
}

}  // namespace

std::optional<UbxMessage> read_ubx(std::uint8_t message_class, std::uint8_t id, Payload payload) noexcept {
  switch (message_class << 8 | id) {
    case 0x0103:
      return read_status(payload);
    case 0x0107:
      return read_time(payload);
    case 0x0126:
      return read_leap(payload);
    case 0x0a09:
      return read_hardware(payload);
    case 0x0a38:
      return read_radio(payload);
    case 0x0d01:
      return read_pulse(payload);
    default:
      return std::nullopt;
  }
}

void UbxReader::drop() noexcept {
  ++dropped_;
  at_ = At::sync_1;
}

std::optional<UbxMessage> UbxReader::take(std::uint8_t octet) noexcept {
  if (at_ == At::header || at_ == At::payload) {
    sum_a_ = static_cast<std::uint8_t>(sum_a_ + octet);
    sum_b_ = static_cast<std::uint8_t>(sum_b_ + sum_a_);
  }
  switch (at_) {
    case At::sync_1:
      if (octet == sync_1) at_ = At::sync_2;
      break;
    case At::sync_2:
      at_ = octet == sync_2 ? At::header : octet == sync_1 ? At::sync_2 : At::sync_1;
      count_ = 0;
      sum_a_ = sum_b_ = 0;
      break;
    case At::header:
      header_[count_++] = octet;
      if (count_ != header_.size()) break;
      length_ = static_cast<std::size_t>(header_[2] | header_[3] << 8);
      count_ = 0;
      at_ = length_ == 0 ? At::sum_a : At::payload;
      if (length_ > payload_max) drop();
      break;
    case At::payload:
      payload_[count_++] = octet;
      if (count_ == length_) at_ = At::sum_a;
      break;
    case At::sum_a:
      at_ = At::sum_b;
      if (octet != sum_a_) drop();
      break;
    case At::sum_b:
      if (octet != sum_b_) {
        drop();
        break;
      }
      at_ = At::sync_1;
      return read_ubx(header_[0], header_[1], Payload(payload_).first(length_));
  }
  return std::nullopt;
}

}  // namespace hwclock
