#include "control/cookie_sealer.h"

#include <cstring>

#include "nts/cookie.h"
#include "nts/secret.h"

namespace control {

static_assert(nts::cookie_bytes <= cookie_bytes_max);

void CookieSealer::load(const nts::KeyRing& ring) {
  key_id_ = ring.current_id;
  generation_ = ring.generation;
  nts::wipe(secrets_->schedule.bytes);
  if (key_id_ != 0) tier_.expand_ring_key(ring.slot_of(key_id_).key.data(), &secrets_->schedule);
}

void CookieSealer::seal(SealRequest& request, SealReply& reply) {
  reply.status = Status::ok;
  reply.cookie_bytes = 0;
  reply.ring_generation = generation_;
  // Both lengths are checked against each other: a number and a key that do not belong together are refused.
  if (request.aead != nts::aead_aes_siv_cmac_256 || request.key_bytes != nts::session_key_bytes) {
    reply.status = Status::unknown_aead;
  } else if (key_id_ == 0) {
    reply.status = Status::no_current_key;
  } else {
    std::uint8_t* keys = secrets_->session_keys.data();
    std::memcpy(keys, request.c2s.data(), nts::session_key_bytes);
    std::memcpy(keys + nts::session_key_bytes, request.s2c.data(), nts::session_key_bytes);
    std::array<std::array<std::uint8_t, nts::cookie_nonce_bytes>, sealed_cookies> nonces;
    randombytes_buf(nonces.data(), sizeof nonces);
    std::array<nts::siv::Job, sealed_cookies> jobs;
    for (std::uint32_t i = 0; i < sealed_cookies; ++i) {
      nts::make_seal_job(reply.cookies[i].data(), key_id_, nonces[i], keys, jobs[i]);
    }
    tier_.seal_with_ring_key(&secrets_->schedule, jobs.data(), sealed_cookies);
    nts::wipe(secrets_->session_keys);
    reply.cookie_bytes = nts::cookie_bytes;
  }
  nts::wipe(request.c2s);
  nts::wipe(request.s2c);
}

}  // namespace control
