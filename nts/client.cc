#include "nts/client.h"

#include <algorithm>
#include <cstring>

#include "nts/check.h"
#include "nts/extension.h"
#include "nts/wire.h"

namespace nts {
namespace {

constexpr std::uint8_t version = 4;
constexpr std::uint32_t client_nonce_bytes_max = 16;
constexpr std::uint32_t cookie_fields_offset = header_bytes + field_header_bytes + unique_identifier_bytes;
// A cookie goes back in a field of its own, and no field is shorter than RFC 7822 allows.
constexpr std::uint32_t client_cookie_bytes_min = field_bytes_min - field_header_bytes;

constexpr std::uint32_t kiss_deny = 0x44454e59;  // RFC 5905 section 7.4
constexpr std::uint32_t kiss_rstr = 0x52535452;
constexpr std::uint32_t kiss_rate = 0x52415445;

constexpr std::uint8_t stratum_max = 15;                // RFC 5905: 16 says unsynchronised
constexpr std::uint32_t root_distance_max = 16U << 16;  // RFC 5905 MAXDISP, in 16.16 s

// One expanded session key of AES-SIV. The tier's form for ring keys is the one made for a single key.
class ExpandedKey {
 public:
  ExpandedKey(const siv::Kernels& tier, const std::uint8_t* key) noexcept {
    tier.expand_ring_key(key, &schedule_);
  }
  ExpandedKey(const ExpandedKey&) = delete;
  ExpandedKey& operator=(const ExpandedKey&) = delete;
  ~ExpandedKey() { wipe(schedule_.bytes); }
  [[nodiscard]] const siv::RingKeySchedule& schedule() const noexcept { return schedule_; }

 private:
  siv::RingKeySchedule schedule_;
};

void compute_one(const AeadKernels& kernels, AeadRow aead, const Secret<aead_key_bytes_max>& key,
                 siv::Job& job, bool is_open) noexcept {
  const std::uint8_t* const octets = key.bytes().data();
  check(kernels.has(aead));
  if (const siv::Kernels* const tier = kernels.siv_of(aead)) {
    const ExpandedKey expanded(*tier, octets);
    const siv::RingKeySchedule* schedule = &expanded.schedule();
    if (is_open) return tier->open_with_ring_keys(&schedule, &job, 1);
    return tier->seal_with_ring_key(schedule, &job, 1);
  }
  gcm_siv::KeyTable table;
  kernels.gcm_siv->derive_keys(&octets, &job.nonce, 1, &table);
  (is_open ? kernels.gcm_siv->open : kernels.gcm_siv->seal)(&table, &job, 1);
  wipe(table.bytes);
}

// Runs one message under a session's key: `is_open` opens it, else it is sealed. What the tier has spilled of
// the key does not outlive it: a client runs few messages, and its process many years.
void run_one(const AeadKernels& kernels, AeadRow aead, const Secret<aead_key_bytes_max>& key, siv::Job& job,
             bool is_open) noexcept {
  compute_one(kernels, aead, key, job, is_open);
  wipe_stack_below();
}

// The header says little on purpose: what a client does not say cannot be used to follow it.
void write_client_header(ClientRequest& request, NtpTime origin) noexcept {
  request.packet[header::leap_version_mode] = version << 3 | mode_client;
  store_u64(request.packet.data() + header::transmit_time, origin.units);
  request.origin = origin;
}

// What stands where in an answer to an NTS request.
struct AnswerFields {
  std::uint32_t authenticator_offset = 0;  // of the field; 0 = none
  std::uint32_t nonce_offset = 0;
  std::uint32_t nonce_bytes = 0;
  std::uint32_t sealed_offset = 0;
  std::uint32_t sealed_bytes = 0;
};

bool read_authenticator(const std::uint8_t* packet, const Field& field, AnswerFields& fields) noexcept {
  if (field.body_bytes() < authenticator_lengths_bytes) return false;
  fields.authenticator_offset = field.offset;
  fields.nonce_bytes = load_u16(packet + field.body_offset());
  fields.sealed_bytes = load_u16(packet + field.body_offset() + 2);
  fields.nonce_offset = field.body_offset() + authenticator_lengths_bytes;
  fields.sealed_offset = fields.nonce_offset + padded_to_4(fields.nonce_bytes);
  const std::uint32_t needed =
      authenticator_lengths_bytes + padded_to_4(fields.nonce_bytes) + padded_to_4(fields.sealed_bytes);
  // The last bound is ours: what is sealed must fit the room it is opened in, and no honest answer is longer
  // than the request.
  return fields.nonce_bytes != 0 && fields.sealed_bytes >= aead_tag_bytes && needed <= field.body_bytes() &&
         fields.sealed_bytes <= client_packet_bytes_max;
}

// Walks the fields up to the authenticator; what follows it is as if it were not there (RFC 8915
// section 5.7).
AnswerVerdict read_fields(std::span<const std::uint8_t> packet, const ClientRequest& request,
                          AnswerFields& fields) noexcept {
  const auto end = static_cast<std::uint32_t>(packet.size());
  std::uint32_t identifiers = 0;
  bool is_ours = false;
  for (std::uint32_t offset = header_bytes; offset < end && fields.authenticator_offset == 0;) {
    Field field;
    if (!read_field(packet.data(), offset, end, field_bytes_min, field)) return AnswerVerdict::refused_field;
    if (field.type == FieldType::unique_identifier) {
      ++identifiers;
      is_ours = equal_in_constant_time(packet.subspan(field.body_offset(), field.body_bytes()),
                                       request.unique_identifier);
    } else if (field.type == FieldType::authenticator) {
      if (!read_authenticator(packet.data(), field, fields)) return AnswerVerdict::refused_field;
    }
    offset += field.bytes;
  }
  return identifiers == 1 && is_ours ? AnswerVerdict::good : AnswerVerdict::refused_identifier;
}

// Puts the cookies among the decrypted fields into the jar, but only if all of the fields are well formed.
// Returns how many cookies there were, whatever the jar took, and none when a field is malformed.
std::uint32_t collect_cookies(std::span<const std::uint8_t> plaintext, CookieJar& jar,
                              std::uint8_t& taken) noexcept {
  const auto end = static_cast<std::uint32_t>(plaintext.size());
  Field field;
  for (std::uint32_t offset = 0; offset < end; offset += field.bytes) {
    if (!read_field(plaintext.data(), offset, end, field_header_bytes, field)) return 0;
  }
  std::uint32_t cookies = 0;
  for (std::uint32_t offset = 0; offset < end; offset += field.bytes) {
    (void)read_field(plaintext.data(), offset, end, field_header_bytes, field);
    if (field.type != FieldType::cookie) continue;
    ++cookies;
    if (jar.add(plaintext.subspan(field.body_offset(), field.body_bytes()))) ++taken;
  }
  return cookies;
}

// Verifies the authenticator and takes the cookies.
AnswerVerdict open_answer(std::span<const std::uint8_t> packet, const AnswerFields& fields,
                          ClientSession& session, const AeadKernels& kernels, bool is_kiss,
                          Answer& answer) noexcept {
  std::array<std::uint8_t, client_packet_bytes_max> room;
  const std::uint32_t plaintext_bytes = fields.sealed_bytes - aead_tag_bytes;
  const Aead& aead = aead_at(session.aead);
  if (!aead.takes_any_nonce && fields.nonce_bytes != aead.nonce_bytes) return AnswerVerdict::refused_tag;
  siv::Job job{.associated_data = packet.data(),
               .nonce = packet.data() + fields.nonce_offset,
               .plaintext = room.data(),
               .sealed = const_cast<std::uint8_t*>(packet.data()) + fields.sealed_offset,  // open only reads
               .associated_data_bytes = fields.authenticator_offset,
               .nonce_bytes = fields.nonce_bytes,
               .plaintext_bytes = plaintext_bytes,
               .authentic = 0};
  run_one(kernels, session.aead, session.s2c, job, true);
  if (job.authentic != 1) {
    wipe(std::span(room).first(plaintext_bytes));
    return AnswerVerdict::refused_tag;
  }
  answer.authenticated = true;
  const auto plaintext = std::span<const std::uint8_t>(room).first(plaintext_bytes);
  const std::uint32_t cookies = collect_cookies(plaintext, session.cookies, answer.cookies_received);
  wipe(std::span(room).first(plaintext_bytes));  // cookies not yet used are nobody's business
  // A server that asks us to go need not give us the means to come back.
  return cookies != 0 || is_kiss ? AnswerVerdict::good : AnswerVerdict::refused_encrypted;
}

void read_header(const std::uint8_t* packet, Answer& answer) noexcept {
  answer.leap = packet[header::leap_version_mode] >> 6;
  answer.stratum = packet[header::stratum];
  answer.poll = static_cast<std::int8_t>(packet[header::poll]);
  answer.precision = static_cast<std::int8_t>(packet[header::precision]);
  answer.root_delay = load_u32(packet + header::root_delay);
  answer.root_dispersion = load_u32(packet + header::root_dispersion);
  answer.reference_id = load_u32(packet + header::reference_id);
  answer.reference = {load_u64(packet + header::reference_time)};
  answer.receive = {load_u64(packet + header::receive_time)};
  answer.transmit = {load_u64(packet + header::transmit_time)};
}

// What the header means once the packet is known to be the answer.
AnswerVerdict judge_header(const Answer& answer, bool is_nts) noexcept {
  if (answer.stratum == 0) {
    switch (answer.reference_id) {
      case kiss_deny:
      case kiss_rstr:
      case kiss_rate:
        return AnswerVerdict::kiss;
      case kiss_ntsn:
        return is_nts ? AnswerVerdict::nts_nak : AnswerVerdict::unsynchronised;
      default:
        return AnswerVerdict::unsynchronised;
    }
  }
  if (answer.leap == leap_unsynchronised || answer.stratum > stratum_max) {
    return AnswerVerdict::unsynchronised;
  }
  const std::uint64_t root_distance = answer.root_delay / 2 + std::uint64_t{answer.root_dispersion};
  const bool is_plausible = answer.receive.units != 0 && answer.transmit.units != 0 &&
                            difference(answer.transmit, answer.receive) >= 0 &&
                            root_distance < root_distance_max;
  return is_plausible ? AnswerVerdict::good : AnswerVerdict::implausible;
}

// Nanoseconds of a difference, to the nearest.
std::int64_t ns_from_units(std::int64_t units) noexcept {
  const std::int64_t seconds = units >> 32;  // rounds down, so the fraction is never negative
  const auto fraction = static_cast<std::uint64_t>(units) & 0xffffffff;
  return seconds * 1'000'000'000 + static_cast<std::int64_t>((fraction * 1'000'000'000 + (1ULL << 31)) >> 32);
}

}  // namespace

CookieJar::~CookieJar() {
  for (auto& cookie : cookies_) wipe(cookie);
}

bool CookieJar::add(std::span<const std::uint8_t> cookie) noexcept {
  if (count_ == client_cookies_max || cookie.size() < client_cookie_bytes_min ||
      cookie.size() > client_cookie_bytes_max || cookie.size() % 4 != 0) {
    return false;
  }
  std::memcpy(cookies_[count_].data(), cookie.data(), cookie.size());
  bytes_[count_] = static_cast<std::uint16_t>(cookie.size());
  ++count_;
  return true;
}

std::uint16_t CookieJar::take(std::span<std::uint8_t, client_cookie_bytes_max> room) noexcept {
  if (count_ == 0) return 0;
  const std::uint16_t bytes = bytes_[0];
  std::memcpy(room.data(), cookies_[0].data(), bytes);
  std::move(cookies_.begin() + 1, cookies_.end(), cookies_.begin());
  std::move(bytes_.begin() + 1, bytes_.end(), bytes_.begin());
  --count_;
  wipe(cookies_[count_]);
  return bytes;
}

ClientRequest make_plain_request(RandomSource& random) noexcept {
  std::array<std::uint8_t, sizeof(NtpTime)> octets;
  random.fill(octets);
  ClientRequest request;
  write_client_header(request, {load_u64(octets.data())});
  request.bytes = header_bytes;
  return request;
}

ClientRequest make_nts_request(ClientSession& session, const AeadKernels& kernels,
                               RandomSource& random) noexcept {
  ClientRequest request;
  std::uint8_t* const packet = request.packet.data();
  const std::uint16_t cookie_bytes = session.cookies.take(
      std::span(request.packet)
          .subspan<cookie_fields_offset + field_header_bytes, client_cookie_bytes_max>());
  if (cookie_bytes == 0) return request;
  request.authenticated = true;
  const Aead& aead = aead_at(session.aead);
  const std::uint32_t authenticator_bytes =
      field_header_bytes + authenticator_lengths_bytes + aead.nonce_bytes + aead_tag_bytes;

  struct {
    std::array<std::uint8_t, sizeof(NtpTime)> origin;
    std::array<std::uint8_t, unique_identifier_bytes> unique_identifier;
    std::array<std::uint8_t, client_nonce_bytes_max> nonce;
  } fresh;
  random.fill({reinterpret_cast<std::uint8_t*>(&fresh), sizeof fresh});

  write_client_header(request, {load_u64(fresh.origin.data())});
  request.unique_identifier = fresh.unique_identifier;
  write_field_header(packet + header_bytes, FieldType::unique_identifier,
                     field_header_bytes + unique_identifier_bytes);
  std::memcpy(packet + header_bytes + field_header_bytes, fresh.unique_identifier.data(),
              unique_identifier_bytes);

  // As many placeholders as bring the jar back to full, one cookie being owed for the one just taken.
  const std::uint32_t field_bytes = field_header_bytes + cookie_bytes;
  const std::uint32_t that_fit =
      (client_packet_bytes_max - cookie_fields_offset - authenticator_bytes) / field_bytes;
  const std::uint32_t fields = std::min(client_cookies_max - session.cookies.count(), that_fit);
  request.placeholders = static_cast<std::uint8_t>(fields - 1);
  std::uint32_t at = cookie_fields_offset;
  for (std::uint32_t i = 0; i < fields; ++i, at += field_bytes) {
    write_field_header(packet + at, i == 0 ? FieldType::cookie : FieldType::cookie_placeholder, field_bytes);
  }

  write_field_header(packet + at, FieldType::authenticator, authenticator_bytes);
  std::uint8_t* const lengths = packet + at + field_header_bytes;
  store_u16(lengths, static_cast<std::uint16_t>(aead.nonce_bytes));
  store_u16(lengths + 2, aead_tag_bytes);
  std::uint8_t* const nonce = lengths + authenticator_lengths_bytes;
  std::memcpy(nonce, fresh.nonce.data(), aead.nonce_bytes);
  std::uint8_t* const sealed = nonce + aead.nonce_bytes;
  siv::Job job{.associated_data = packet,
               .nonce = nonce,
               .plaintext = sealed,  // of no octets
               .sealed = sealed,
               .associated_data_bytes = at,
               .nonce_bytes = aead.nonce_bytes,
               .plaintext_bytes = 0,
               .authentic = 0};
  run_one(kernels, session.aead, session.c2s, job, false);
  request.bytes = static_cast<std::uint16_t>(at + authenticator_bytes);
  return request;
}

Answer read_answer(std::span<const std::uint8_t> packet, const ClientRequest& request, ClientSession* session,
                   const AeadKernels* kernels) noexcept {
  Answer answer;
  const auto refused = [&answer](AnswerVerdict verdict) {
    answer.verdict = verdict;
    return answer;
  };
  if (packet.size() < header_bytes) return refused(AnswerVerdict::refused_short);
  if ((packet[header::leap_version_mode] & 0x3f) != (version << 3 | mode_server)) {
    return refused(AnswerVerdict::refused_mode);
  }
  // A listener on the path knows it, so comparing it in constant time would protect nothing.
  if (load_u64(packet.data() + header::origin_time) != request.origin.units) {
    return refused(AnswerVerdict::refused_origin);
  }
  read_header(packet.data(), answer);
  answer.verdict = judge_header(answer, request.authenticated);
  // Nothing was asked for that could stand behind the header of a plain answer.
  if (!request.authenticated) return answer;

  AnswerFields fields;
  const AnswerVerdict walked = read_fields(packet, request, fields);
  if (walked != AnswerVerdict::good) return refused(walked);
  const bool is_kiss = answer.verdict == AnswerVerdict::kiss || answer.verdict == AnswerVerdict::nts_nak;
  if (fields.authenticator_offset == 0) {
    // RFC 8915 section 5.7: a kiss needs no more than our identifier.
    return is_kiss ? answer : refused(AnswerVerdict::refused_unauthenticated);
  }
  const AnswerVerdict opened = open_answer(packet, fields, *session, *kernels, is_kiss, answer);
  return opened == AnswerVerdict::good ? answer : refused(opened);
}

Measurement measure(NtpTime sent, NtpTime server_received, NtpTime server_sent, NtpTime received) noexcept {
  const std::int64_t out_ns = ns_from_units(difference(server_received, sent));
  const std::int64_t back_ns = ns_from_units(difference(server_sent, received));
  const std::int64_t away_ns = ns_from_units(difference(received, sent));
  const std::int64_t held_ns = ns_from_units(difference(server_sent, server_received));
  return {.offset_ns = (out_ns + back_ns) / 2, .delay_ns = away_ns - held_ns};
}

}  // namespace nts
