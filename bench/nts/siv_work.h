// The crypto of a burst of NTS requests and nothing else: open the cookie, expand C2S, verify the request,
// seal a fresh cookie, expand S2C, seal the answer. The same calls with the same lengths that nts::Server
// makes, for any tier and for nettle behind the same interface.
//
// Keys are treated as any server must: those of the ring are set up once, those of the session for every
// request, because they come out of its cookie.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "bench/nts/requests.h"
#include "nts/answer.h"
#include "nts/batch.h"
#include "nts/siv/siv.h"

namespace bench {

class SivWork {
 public:
  // `tier` outlives this. Requires 1 <= requests <= nts::burst_max.
  SivWork(const nts::siv::Kernels& tier, std::uint32_t requests);
  // Jobs point into it.
  SivWork(const SivWork&) = delete;
  SivWork& operator=(const SivWork&) = delete;

  // Does the work of all requests once. May be repeated: it always does the same.
  void run() noexcept;

  // True when the last run opened every cookie, verified every request, and each answer opens with nettle.
  [[nodiscard]] bool was_right() const;

 private:
  using Jobs = std::array<nts::siv::Job, nts::burst_max>;
  struct Client {
    tests::Octets request;
    tests::Octets answer;
    std::array<std::uint8_t, nts::cookie_plaintext_bytes> keys;
  };

  const nts::siv::Kernels& tier_;
  std::uint32_t requests_;
  std::vector<Client> clients_;
  nts::NtsAnswer answer_;  // the same places in all
  nts::siv::RingKeySchedule ring_key_;
  nts::siv::KeyTable table_;
  std::array<const nts::siv::RingKeySchedule*, nts::burst_max> ring_keys_;
  std::array<nts::siv::CookieMac, nts::burst_max> macs_;
  std::array<const std::uint8_t*, nts::burst_max> c2s_;
  std::array<const std::uint8_t*, nts::burst_max> s2c_;
  Jobs open_cookies_;
  Jobs verify_;
  Jobs seal_cookies_;
  Jobs seal_answers_;
};

}  // namespace bench
