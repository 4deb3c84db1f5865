#include "bench/load/request_writer.h"

#include <array>
#include <cstring>

#include "nts/extension.h"
#include "nts/wire.h"

namespace bench::load {
namespace {

using nts::FieldType;

constexpr std::uint32_t identifier_offset = nts::header_bytes + nts::field_header_bytes;
constexpr std::uint32_t cookie_field_offset = identifier_offset + identifier_bytes;
constexpr std::uint32_t cookie_offset = cookie_field_offset + nts::field_header_bytes;
constexpr std::uint32_t authenticator_bytes =
    nts::field_header_bytes + nts::authenticator_lengths_bytes + nonce_bytes + nts::siv::tag_bytes;

std::vector<std::uint8_t> header_template() {
  std::vector<std::uint8_t> octets(nts::header_bytes);
  octets[nts::header::leap_version_mode] = 4 << 3 | nts::mode_client;
  return octets;
}

std::vector<std::uint8_t> nts_template(std::span<const std::uint8_t> cookie) {
  std::vector<std::uint8_t> octets = header_template();
  const auto bytes = static_cast<std::uint32_t>(cookie.size());
  octets.resize(cookie_offset + bytes + authenticator_bytes);
  nts::write_field_header(octets.data() + nts::header_bytes, FieldType::unique_identifier,
                          nts::field_header_bytes + identifier_bytes);
  nts::write_field_header(octets.data() + cookie_field_offset, FieldType::cookie,
                          nts::field_header_bytes + bytes);
  std::memcpy(octets.data() + cookie_offset, cookie.data(), bytes);
  std::uint8_t* authenticator = octets.data() + cookie_offset + bytes;
  nts::write_field_header(authenticator, FieldType::authenticator, authenticator_bytes);
  nts::store_u16(authenticator + 4, nonce_bytes);
  nts::store_u16(authenticator + 6, nts::siv::tag_bytes);
  return octets;
}

}  // namespace

RequestWriter::RequestWriter(Kind kind, const Session* session, const Numbers& numbers,
                             const nts::siv::Kernels& tier)
    : numbers_(numbers), tier_(tier), is_nts_(kind == Kind::nts) {
  if (!is_nts_) {
    templates_.push_back(header_template());
    return;
  }
  if (session == nullptr || session->cookies.empty()) throw SessionError("NTS needs keys and a cookie");
  cookie_bytes_ = static_cast<std::uint32_t>(session->cookies[0].size());
  for (const auto& cookie : session->cookies) {
    if (cookie.size() != cookie_bytes_) throw SessionError("the session's cookies have different lengths");
    templates_.push_back(nts_template(cookie));
  }
  tier.expand_ring_key(session->c2s.data(), &c2s_);
}

void RequestWriter::write(std::span<const Datagram> requests, std::uint64_t first_number) noexcept {
  std::array<nts::siv::Job, burst_max> jobs;
  const std::uint32_t authenticator_offset = cookie_offset + cookie_bytes_;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    std::uint8_t* octets = requests[i].octets;
    const std::uint64_t number = first_number + i;
    const std::vector<std::uint8_t>& model = templates_[next_];
    if (++next_ == templates_.size()) next_ = 0;
    std::memcpy(octets, model.data(), model.size());
    nts::store_u64(octets + nts::header::transmit_time, numbers_.transmit_of(number));
    if (!is_nts_) continue;
    std::uint8_t* nonce =
        octets + authenticator_offset + nts::field_header_bytes + nts::authenticator_lengths_bytes;
    numbers_.write_identifier(number, octets + identifier_offset);
    numbers_.write_nonce(number, nonce);
    std::uint8_t* sealed = nonce + nonce_bytes;
    jobs[i] = {.associated_data = octets,
               .nonce = nonce,
               .plaintext = sealed + nts::siv::tag_bytes,
               .sealed = sealed,
               .associated_data_bytes = authenticator_offset,
               .nonce_bytes = nonce_bytes,
               .plaintext_bytes = 0,
               .authentic = 0};
  }
  if (is_nts_) tier_.seal_with_ring_key(&c2s_, jobs.data(), static_cast<std::uint32_t>(requests.size()));
}

bool RequestWriter::use_cookie(std::span<const std::uint8_t> cookie) noexcept {
  if (!is_nts_ || cookie.size() != cookie_bytes_) return false;
  std::memcpy(templates_[oldest_].data() + cookie_offset, cookie.data(), cookie.size());
  if (++oldest_ == templates_.size()) oldest_ = 0;
  return true;
}

}  // namespace bench::load
