// Requests by the burst: a template with all that stays, and the few octets of each that must be fresh.
//
// An NTS request is header, Unique Identifier of 32 octets, one cookie, authenticator over an empty plaintext
// (RFC 8915 section 5.7); a plain one is the header alone. All of a burst are sealed side by side in the
// tier's lanes, so that one core makes more than one core answers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bench/load/numbers.h"
#include "bench/load/session.h"
#include "bench/load/transport.h"

namespace bench::load {

enum class Kind { plain, nts };

class RequestWriter {
 public:
  // `session` may be null for plain requests. What is borrowed outlives this.
  RequestWriter(Kind kind, const Session* session, const Numbers& numbers, const nts::siv::Kernels& tier);

  [[nodiscard]] std::uint16_t payload_bytes() const noexcept {
    return static_cast<std::uint16_t>(templates_[0].size());
  }

  // Writes request first_number + i into `requests[i]`, each with room for payload_bytes(); at most
  // burst_max.
  void write(std::span<const Datagram> requests, std::uint64_t first_number) noexcept;

  // From now on this cookie is sent in place of the oldest one. False when its length is another.
  bool use_cookie(std::span<const std::uint8_t> cookie) noexcept;

 private:
  const Numbers& numbers_;
  const nts::siv::Kernels& tier_;
  bool is_nts_;
  nts::siv::RingKeySchedule c2s_{};                   // the tier's form of one key for many messages
  std::vector<std::vector<std::uint8_t>> templates_;  // one for each cookie in use
  std::uint32_t cookie_bytes_ = 0;
  std::size_t oldest_ = 0;
  std::size_t next_ = 0;
};

}  // namespace bench::load
