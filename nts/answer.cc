#include "nts/answer.h"

#include <algorithm>
#include <cstring>

#include "nts/extension.h"

namespace nts {
namespace {

constexpr std::uint32_t authenticator_bytes_without_cookies =
    field_header_bytes + authenticator_lengths_bytes + answer_nonce_bytes + siv::tag_bytes;

// What a client asks for is echoed while it is a poll interval at all (RFC 5905 section 7.2).
std::uint8_t clamped_poll(std::uint8_t octet) noexcept {
  const auto poll = static_cast<std::int8_t>(octet);
  return static_cast<std::uint8_t>(std::clamp<int>(poll, poll_min, poll_max));
}

std::uint8_t first_octet(std::uint8_t leap, std::uint8_t version) noexcept {
  return static_cast<std::uint8_t>(leap << 6 | version << 3 | mode_server);
}

}  // namespace

NtsAnswer plan_nts_answer(const Request& request, std::uint32_t packet_bytes) noexcept {
  NtsAnswer answer;
  answer.authenticator_offset = header_bytes + request.unique_identifier_bytes;
  answer.nonce_offset = answer.authenticator_offset + field_header_bytes + authenticator_lengths_bytes;
  answer.sealed_offset = answer.nonce_offset + answer_nonce_bytes;
  answer.plaintext_offset = answer.sealed_offset + siv::tag_bytes;
  const std::uint32_t fixed = answer.authenticator_offset + authenticator_bytes_without_cookies;
  if (packet_bytes < fixed + cookie_field_bytes) return answer;
  answer.cookies =
      std::min<std::uint32_t>(request.cookies_wanted, (packet_bytes - fixed) / cookie_field_bytes);
  answer.bytes = fixed + answer.cookies * cookie_field_bytes;
  return answer;
}

void write_header(std::uint8_t* packet, std::uint8_t version, NtpTime received,
                  const ClockReading& clock) noexcept {
  const bool is_synchronised = clock.leap != leap_unsynchronised;
  const NtpTime reference = difference(received, clock.reference) < 0 ? received : clock.reference;
  packet[header::leap_version_mode] = first_octet(clock.leap, version);
  packet[header::stratum] = is_synchronised && clock.stratum < 16 ? clock.stratum : 0;
  packet[header::poll] = clamped_poll(packet[header::poll]);
  packet[header::precision] = static_cast<std::uint8_t>(clock.precision);
  store_u32(packet + header::root_delay, clock.root_delay);
  store_u32(packet + header::root_dispersion, clock.root_dispersion);
  store_u32(packet + header::reference_id, clock.reference_id);
  store_u64(packet + header::reference_time, reference.units);
  std::memcpy(packet + header::origin_time, packet + header::transmit_time, 8);
  store_u64(packet + header::receive_time, received.units);
}

void write_nak_header(std::uint8_t* packet, std::uint8_t version, NtpTime received) noexcept {
  ClockReading no_clock;
  no_clock.root_dispersion = 0;
  no_clock.reference_id = kiss_ntsn;
  write_header(packet, version, received, no_clock);
  store_u64(packet + header::reference_time, 0);
}

std::uint32_t place_unique_identifier(std::uint8_t* packet, const Request& request) noexcept {
  if (request.unique_identifier_offset != header_bytes) {
    std::memmove(packet + header_bytes, packet + request.unique_identifier_offset,
                 request.unique_identifier_bytes);
  }
  return header_bytes + request.unique_identifier_bytes;
}

void write_authenticator_frame(std::uint8_t* packet, const NtsAnswer& answer) noexcept {
  const std::uint32_t field_bytes = answer.bytes - answer.authenticator_offset;
  std::uint8_t* field = packet + answer.authenticator_offset;
  write_field_header(field, FieldType::authenticator, field_bytes);
  store_u16(field + field_header_bytes, answer_nonce_bytes);
  store_u16(field + field_header_bytes + 2, static_cast<std::uint16_t>(answer.bytes - answer.sealed_offset));
  for (std::uint32_t i = 0; i < answer.cookies; ++i) {
    write_field_header(packet + answer.plaintext_offset + i * cookie_field_bytes, FieldType::cookie,
                       cookie_field_bytes);
  }
}

}  // namespace nts
