#include "control/cookie_sealer.h"

#include <algorithm>
#include <cstring>

#include "dataplane/shm/failpoint.h"
#include "nts/cookie.h"
#include "nts/secret.h"

namespace control {

static_assert(std::all_of(nts::aeads.begin(), nts::aeads.end(), [](const nts::Aead& aead) {
  return aead.key_bytes <= session_key_bytes_max && aead.cookie_bytes() <= cookie_bytes_max;
}));

void CookieSealer::load(const nts::KeyRing& ring) {
  key_id_ = ring.current_id;
  generation_ = ring.generation;
  nts::wipe(secrets_->schedule.bytes);
  if (key_id_ != 0) tier_.expand_ring_key(ring.slot_of(key_id_).key.data(), &secrets_->schedule);
  nts::wipe_stack_below();
}

void CookieSealer::seal(SealRequest& request, SealReply& reply) {
  reply.status = Status::ok;
  reply.cookie_bytes = 0;
  reply.ring_generation = generation_;
  // Both lengths are checked against each other: a number and a key that do not belong together are refused.
  const nts::Aead* aead = nts::find_aead(request.aead);
  if (aead == nullptr || request.key_bytes != aead->key_bytes) {
    reply.status = Status::unknown_aead;
  } else if (key_id_ == 0) {
    reply.status = Status::no_current_key;
  } else if (shm::failpoint::error_at("keeper.seal_begun") != 0) {
    reply.status = Status::failed;
  } else {
    std::uint8_t* keys = secrets_->session_keys.data();
    std::memcpy(keys, request.c2s.data(), aead->key_bytes);
    std::memcpy(keys + aead->key_bytes, request.s2c.data(), aead->key_bytes);
    std::array<std::array<std::uint8_t, nts::cookie_nonce_bytes>, sealed_cookies> nonces;
    randombytes_buf(nonces.data(), sizeof nonces);
    std::array<nts::siv::Job, sealed_cookies> jobs;
    for (std::uint32_t i = 0; i < sealed_cookies; ++i) {
      nts::make_seal_job(reply.cookies[i].data(), key_id_, nonces[i], keys, jobs[i], 2 * aead->key_bytes);
      shm::failpoint::reach("keeper.seal_half_done");
    }
    tier_.seal_with_ring_key(&secrets_->schedule, jobs.data(), sealed_cookies);
    nts::wipe(secrets_->session_keys);
    nts::wipe_stack_below();
    reply.cookie_bytes = aead->cookie_bytes();
  }
  nts::wipe(request.c2s);
  nts::wipe(request.s2c);
}

}  // namespace control
