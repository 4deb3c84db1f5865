#include "nts/answer.h"

#include <algorithm>
#include <cstring>

namespace nts {
namespace {

// What a client asks for is echoed while it is a poll interval at all (RFC 5905 section 7.2).
std::uint8_t clamped_poll(std::uint8_t octet) noexcept {
  const auto poll = static_cast<std::int8_t>(octet);
  return static_cast<std::uint8_t>(std::clamp<int>(poll, poll_min, poll_max));
}

std::uint8_t first_octet(std::uint8_t leap, std::uint8_t version) noexcept {
  return static_cast<std::uint8_t>(leap << 6 | version << 3 | mode_server);
}

}  // namespace

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

void write_kiss_header(std::uint8_t* packet, std::uint8_t version, NtpTime received,
                       std::uint32_t code) noexcept {
  ClockReading no_clock;
  no_clock.root_dispersion = 0;
  no_clock.reference_id = code;
  write_header(packet, version, received, no_clock);
  store_u64(packet + header::reference_time, 0);
}

void place_unique_identifier(std::uint8_t* packet, const Request& request) noexcept {
  if (request.unique_identifier_offset != header_bytes) {
    std::memmove(packet + header_bytes, packet + request.unique_identifier_offset,
                 request.unique_identifier_bytes);
  }
}

}  // namespace nts
