#include "bench/nts/siv_work.h"

#include <algorithm>
#include <stdexcept>

namespace bench {

using nts::siv::tag_bytes;

SivWork::SivWork(const nts::siv::Kernels& tier, std::uint32_t requests)
    : tier_(tier), requests_(requests), clients_(requests) {
  if (requests == 0 || requests > nts::burst_max) throw std::invalid_argument("a burst has 1 to 32 requests");
  const tests::SessionKey ring_key = tests::ring_key_of(tests::usual_key_id);
  tier_.expand_ring_key(ring_key.data(), &ring_key_);
  ring_keys_.fill(&ring_key_);
  for (std::uint32_t i = 0; i < requests; ++i) {
    Client& client = clients_[i];
    client.request = request_of(Load::nts, i);
    const nts::Request request = nts::read_request(client.request);
    answer_ = nts::plan_nts_answer(request, static_cast<std::uint32_t>(client.request.size()));
    client.answer.assign(client.request.begin(), client.request.begin() + answer_.bytes);

    c2s_[i] = client.keys.data();
    s2c_[i] = client.keys.data() + nts::session_key_bytes;
    nts::make_open_job(client.request.data() + request.cookie_offset, client.keys.data(), open_cookies_[i]);
    verify_[i] = {.associated_data = client.request.data(),
                  .nonce = client.request.data() + request.nonce_offset,
                  .plaintext = client.request.data() + request.sealed_offset + tag_bytes,
                  .sealed = client.request.data() + request.sealed_offset,
                  .associated_data_bytes = request.authenticator_offset,
                  .nonce_bytes = request.nonce_bytes,
                  .plaintext_bytes = request.sealed_bytes - tag_bytes,
                  .authentic = 0};
    std::array<std::uint8_t, nts::cookie_nonce_bytes> nonce;
    nonce.fill(static_cast<std::uint8_t>(i));
    nts::make_seal_job(client.answer.data() + answer_.plaintext_offset + nts::field_header_bytes,
                       tests::usual_key_id, nonce, client.keys.data(), seal_cookies_[i]);
    seal_answers_[i] = {.associated_data = client.answer.data(),
                        .nonce = client.answer.data() + answer_.nonce_offset,
                        .plaintext = client.answer.data() + answer_.plaintext_offset,
                        .sealed = client.answer.data() + answer_.sealed_offset,
                        .associated_data_bytes = answer_.authenticator_offset,
                        .nonce_bytes = nts::answer_nonce_bytes,
                        .plaintext_bytes = answer_.bytes - answer_.plaintext_offset,
                        .authentic = 0};
  }
}

void SivWork::run() noexcept {
  const bool has_macs =
      tier_.open_cookies(ring_keys_.data(), open_cookies_.data(), requests_, macs_.data()) != 0;
  tier_.expand_keys_to_verify(c2s_.data(), requests_, &table_);
  tier_.open(&table_, verify_.data(), requests_);
  if (has_macs) {
    tier_.seal_cookies(&ring_key_, seal_cookies_.data(), requests_, macs_.data());
  } else {
    tier_.seal_with_ring_key(&ring_key_, seal_cookies_.data(), requests_);
  }
  tier_.expand_keys(s2c_.data(), requests_, &table_);
  tier_.seal(&table_, seal_answers_.data(), requests_);
}

bool SivWork::was_right() const {
  bool right = true;
  for (std::uint32_t i = 0; i < requests_; ++i) {
    const Client& client = clients_[i];
    const std::span<const std::uint8_t> answer(client.answer);
    tests::Octets plaintext;
    right = right && open_cookies_[i].authentic == 1 && verify_[i].authentic == 1 &&
            tests::nettle_open({s2c_[i], nts::session_key_bytes}, answer.first(answer_.authenticator_offset),
                               answer.subspan(answer_.nonce_offset, nts::answer_nonce_bytes),
                               answer.subspan(answer_.sealed_offset), plaintext);
  }
  return right;
}

}  // namespace bench
