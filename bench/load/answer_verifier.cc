#include "bench/load/answer_verifier.h"

#include <cstring>

#include "nts/extension.h"
#include "nts/wire.h"

namespace bench::load {
namespace {

using nts::Field;
using nts::FieldType;

bool is_near(nts::NtpTime left, nts::NtpTime right, std::uint64_t tolerance) noexcept {
  const std::int64_t apart = nts::difference(left, right);
  return static_cast<std::uint64_t>(apart < 0 ? -apart : apart) <= tolerance;
}

// Inline, where memcmp would be a call.
bool is_same_identifier(const std::uint8_t* left, const std::uint8_t* right) noexcept {
  std::uint64_t differs = 0;
  for (std::size_t at = 0; at < identifier_bytes; at += sizeof differs) {
    std::uint64_t a;
    std::uint64_t b;
    std::memcpy(&a, left + at, sizeof a);
    std::memcpy(&b, right + at, sizeof b);
    differs |= a ^ b;
  }
  return differs == 0;
}

}  // namespace

AnswerVerifier::AnswerVerifier(Kind kind, const Session* session, const Numbers& numbers,
                               const nts::siv::Kernels& tier, std::uint16_t request_bytes,
                               std::uint64_t tolerance)
    : numbers_(numbers),
      tier_(tier),
      is_nts_(kind == Kind::nts),
      request_bytes_(request_bytes),
      tolerance_(tolerance) {
  if (!is_nts_) return;
  if (session == nullptr || session->cookies.empty()) throw SessionError("NTS needs keys and a cookie");
  last_cookie_.resize(session->cookies[0].size());
  tier.expand_ring_key(session->s2c.data(), &s2c_);
}

Fault AnswerVerifier::read_header(const Datagram& answer, nts::NtpTime now, std::uint64_t next_number,
                                  std::uint64_t& number) const noexcept {
  namespace header = nts::header;
  const std::uint8_t* octets = answer.octets;
  if (answer.bytes < nts::header_bytes || (!is_nts_ && answer.bytes != nts::header_bytes))
    return Fault::shape;
  if (answer.bytes > request_bytes_) return Fault::shape;
  if ((octets[0] & 0x3f) != (4 << 3 | nts::mode_server)) return Fault::shape;
  number = numbers_.number_of(nts::load_u64(octets + header::origin_time));
  if (number >= next_number) return Fault::origin;
  if (octets[header::stratum] == 0) return Fault::kiss;
  if (octets[0] >> 6 == nts::leap_unsynchronised || octets[header::stratum] > 15)
    return Fault::unsynchronised;
  const nts::NtpTime receive{nts::load_u64(octets + header::receive_time)};
  const nts::NtpTime transmit{nts::load_u64(octets + header::transmit_time)};
  const nts::NtpTime reference{nts::load_u64(octets + header::reference_time)};
  // A reference of zero says that the clock was never set (ntpd says so as an orphan, RFC 5905 section 7.3).
  if (nts::difference(transmit, receive) < 0 ||
      (reference.units != 0 && nts::difference(receive, reference) < 0)) {
    return Fault::timestamps;
  }
  if (!is_near(receive, now, tolerance_) || !is_near(transmit, now, tolerance_)) return Fault::timestamps;
  return Fault::none;
}

// Identifier, then an authenticator that ends the packet: fills the job that opens it into `room`.
Fault AnswerVerifier::read_fields(const Datagram& answer, std::uint64_t number, std::uint8_t* room,
                                  nts::siv::Job& job) const noexcept {
  const std::uint8_t* octets = answer.octets;
  Field identifier;
  Field seal;
  if (!nts::read_field(octets, nts::header_bytes, answer.bytes, nts::field_bytes_min, identifier) ||
      identifier.type != FieldType::unique_identifier) {
    return Fault::shape;
  }
  const std::uint32_t seal_offset = identifier.offset + identifier.bytes;
  if (!nts::read_field(octets, seal_offset, answer.bytes, nts::last_field_bytes_min, seal) ||
      seal.type != FieldType::authenticator || seal.offset + seal.bytes != answer.bytes) {
    return Fault::shape;
  }
  std::uint8_t expected[identifier_bytes];
  numbers_.write_identifier(number, expected);
  if (identifier.body_bytes() != identifier_bytes ||
      !is_same_identifier(octets + identifier.body_offset(), expected)) {
    return Fault::identifier;
  }
  const std::uint32_t nonce_octets = nts::load_u16(octets + seal.body_offset());
  const std::uint32_t sealed_octets = nts::load_u16(octets + seal.body_offset() + 2);
  const std::uint32_t nonce_offset = seal.body_offset() + nts::authenticator_lengths_bytes;
  if (nonce_octets == 0 || sealed_octets < nts::siv::tag_bytes ||
      nts::authenticator_lengths_bytes + nts::padded_to_4(nonce_octets) + nts::padded_to_4(sealed_octets) >
          seal.body_bytes() ||
      sealed_octets > plaintext_bytes_max) {
    return Fault::shape;
  }
  job = {.associated_data = octets,
         .nonce = octets + nonce_offset,
         .plaintext = room,
         .sealed = answer.octets + nonce_offset + nts::padded_to_4(nonce_octets),
         .associated_data_bytes = seal.offset,
         .nonce_bytes = nonce_octets,
         .plaintext_bytes = sealed_octets - nts::siv::tag_bytes,
         .authentic = 0};
  return Fault::none;
}

// True when `plaintext` is one cookie as it must be, and no more.
bool AnswerVerifier::read_cookie(std::span<const std::uint8_t> plaintext, std::uint64_t number,
                                 std::span<const std::uint8_t>& cookie) noexcept {
  const auto bytes = static_cast<std::uint32_t>(plaintext.size());
  Field field;
  if (!nts::read_field(plaintext.data(), 0, bytes, nts::field_bytes_min, field)) return false;
  if (field.type != FieldType::cookie || field.bytes != bytes) return false;
  cookie = plaintext.subspan(field.body_offset());
  if (cookie.size() != last_cookie_.size()) return false;
  const bool is_fresh =
      std::memcmp(cookie.data(), last_cookie_.data(), cookie.size()) != 0 ||
      number == last_number_;  // the same answer for the second time: the generator's to say
  last_number_ = number;
  std::memcpy(last_cookie_.data(), cookie.data(), cookie.size());
  return is_fresh;
}

void AnswerVerifier::judge(std::span<const Datagram> answers, nts::NtpTime now, std::uint64_t next_number,
                           std::span<Judgement> judgements) noexcept {
  std::array<nts::siv::Job, burst_max> jobs;
  std::array<const nts::siv::RingKeySchedule*, burst_max> schedules;
  std::array<std::size_t, burst_max> row_of;
  std::uint32_t count = 0;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    Judgement& judgement = judgements[i];
    judgement = {};
    judgement.fault = read_header(answers[i], now, next_number, judgement.number);
    if (judgement.fault != Fault::none || !is_nts_) continue;
    judgement.fault = read_fields(answers[i], judgement.number, plaintexts_[i].data(), jobs[count]);
    if (judgement.fault != Fault::none) continue;
    schedules[count] = &s2c_;
    row_of[count++] = i;
  }
  if (count == 0) return;
  tier_.open_with_ring_keys(schedules.data(), jobs.data(), count);
  for (std::uint32_t i = 0; i < count; ++i) {
    Judgement& judgement = judgements[row_of[i]];
    if (jobs[i].authentic == 0) {
      judgement.fault = Fault::tag;
    } else if (!read_cookie({jobs[i].plaintext, jobs[i].plaintext_bytes}, judgement.number,
                            judgement.cookie)) {
      judgement.fault = Fault::cookies;
    }
  }
}

}  // namespace bench::load
