// Cookies for `ke`: the only thing a master key is used for outside the dataplane.
//
// Rules: RFC 8915 section 6 (the suggested format), nts/cookie.h (ours). Every cookie has a nonce of its own,
// so that no two can be told to belong together (P29). Session keys are wiped as soon as they are sealed.
#pragma once

#include "control/guarded.h"
#include "control/messages.h"
#include "nts/key_ring.h"
#include "nts/siv/siv.h"

namespace control {

class CookieSealer {
 public:
  // `tier` gave the known answers on this machine and outlives the sealer.
  explicit CookieSealer(const nts::siv::Kernels& tier) : tier_(tier) {}

  // Seals with the current key of `ring` from now on; with none, nothing is sealed.
  void load(const nts::KeyRing& ring);

  // Fills `reply` but for its header; wipes the session keys in `request`.
  void seal(SealRequest& request, SealReply& reply);

 private:
  struct Secrets {
    nts::siv::RingKeySchedule schedule;
    std::array<std::uint8_t, 2 * session_key_bytes_max> session_keys;
  };
  const nts::siv::Kernels& tier_;
  Guarded<Secrets> secrets_;
  std::uint32_t key_id_ = 0;
  std::uint64_t generation_ = 0;
};

}  // namespace control
