// The header of a burst's answers, written once and laid over each request: all of it but the poll interval
// and the origin stamp is the same for everybody who is answered in one version, at one time of receipt.
//
// answer.cc says what stands where; this says the same in six words.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "nts/answer.h"

namespace nts {

class HeaderTemplate {
 public:
  HeaderTemplate() noexcept = default;  // fits nobody
  HeaderTemplate(std::uint8_t version, NtpTime received, const ClockReading& clock) noexcept
      : received_(received), version_(version) {
    std::array<std::uint8_t, header_bytes> octets{};
    write_header(octets.data(), version, received, clock);
    octets[header::poll] = 0;
    std::memcpy(words_.data(), octets.data(), sizeof words_);
  }

  // Writes what write_header would, had it been asked with this template's facts or with these.
  [[gnu::always_inline]] inline void write(std::uint8_t* packet, std::uint8_t version, NtpTime received,
                                           const ClockReading& clock) const noexcept {
    if (version != version_ || received != received_) [[unlikely]] {
      write_header(packet, version, received, clock);
      return;
    }
    const int asked = static_cast<std::int8_t>(packet[header::poll]);
    const auto poll = static_cast<std::uint8_t>(std::clamp<int>(asked, poll_min, poll_max));
    std::uint64_t origin;
    std::memcpy(&origin, packet + header::transmit_time, sizeof origin);
    store(packet, words_[0] | std::uint64_t{poll} << 8 * header::poll);  // the first octet is the lowest
    store(packet + header::root_dispersion, words_[1]);
    store(packet + header::reference_time, words_[2]);
    store(packet + header::origin_time, origin);
    store(packet + header::receive_time, words_[4]);
  }

 private:
  static void store(std::uint8_t* at, std::uint64_t word) noexcept { std::memcpy(at, &word, sizeof word); }

  std::array<std::uint64_t, header_bytes / 8> words_{};
  NtpTime received_;
  std::uint8_t version_ = 0;
};

}  // namespace nts
