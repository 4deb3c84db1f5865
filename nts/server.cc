#include "nts/server.h"

#include <cstring>
#include <new>

#include "nts/check.h"
#include "nts/cookie.h"
#include "nts/secret.h"

namespace nts {

// The working table of one burst. Rows of the batch that take part in a step are packed together, so that
// lanes fill whatever the mixture: row_of[k] is the batch row of packed entry k.
struct Server::Scratch {
  struct SessionKeys {  // C2S | S2C, as a cookie holds them
    std::array<std::uint8_t, cookie_plaintext_bytes> octets;
  };

  std::uint32_t packed = 0;
  std::array<std::uint32_t, burst_max> row_of;
  std::array<SessionKeys, burst_max> keys;
  std::array<NtsAnswer, burst_max> answers;

  std::array<const siv::RingKeySchedule*, burst_max> schedules;
  std::array<const std::uint8_t*, burst_max> key_pointers;
  std::array<siv::Job, burst_max * cookies_max> jobs;
  std::array<std::uint8_t, burst_max*(cookies_max + 1) * 16> random;
  siv::KeyTable table;  // C2S while requests are verified, S2C from prepare_answers on

  ~Scratch() {
    // A burst's keys are overwritten by the next burst; the last ones go here.
    for (SessionKeys& session : keys) wipe(session.octets);
    wipe(table.bytes);
  }

  // Entry `from` becomes entry `to` (to <= from): those that failed fall out of the packing.
  void move_entry(std::uint32_t from, std::uint32_t to) noexcept {
    if (from == to) return;
    row_of[to] = row_of[from];
    keys[to] = keys[from];
  }
};

Server::Server(const siv::Kernels& tier, RandomSource& random)
    : tier_(tier), random_(random), scratch_(std::make_unique<Scratch>()) {}

Server::~Server() = default;

void Server::open_requests(Batch& batch, const ExpandedKeyRing& keys, const Policy& policy) noexcept {
  check(batch.count <= burst_max);
  Scratch& scratch = *scratch_;
  const bool serves_nts = policy.answer_nts && keys.can_serve();

  // Read all; gather the cookies that some key of the ring may open.
  std::uint32_t packed = 0;
  for (std::uint32_t row = 0; row < batch.count; ++row) {
    std::uint8_t* packet = batch.packet[row];
    // Read in place: a copy right behind the octets that fill it would wait for every one of them.
    Request& request = *new (&batch.request[row]) Request(read_request({packet, batch.packet_bytes[row]}));
    if (request.verdict == Verdict::answer_plain) {
      if (!policy.answer_plain) request.verdict = Verdict::drop_plain_refused;
      continue;
    }
    if (request.verdict != Verdict::answer_nts) continue;
    if (!serves_nts) {
      request.verdict = Verdict::drop_no_keys;
      continue;
    }
    if (request.cookie_bytes != cookie_bytes) {
      request.verdict = Verdict::nak_cookie;
      continue;
    }
    const std::uint8_t* cookie = packet + request.cookie_offset;
    const ExpandedKeyRing::Lookup lookup = keys.find(cookie_key_id(cookie));
    if (lookup.found != ExpandedKeyRing::Found::opens) {
      request.verdict = lookup.found == ExpandedKeyRing::Found::retired ? Verdict::nak_key_retired
                                                                        : Verdict::nak_key_unknown;
      continue;
    }
    scratch.row_of[packed] = row;
    scratch.schedules[packed] = lookup.schedule;
    make_open_job(cookie, scratch.keys[packed].octets.data(), scratch.jobs[packed]);
    ++packed;
  }
  scratch.packed = 0;
  if (packed == 0) return;

  // Open the cookies; those that do not open leave the packing.
  tier_.open_with_ring_keys(scratch.schedules.data(), scratch.jobs.data(), packed);
  std::uint32_t opened = 0;
  for (std::uint32_t k = 0; k < packed; ++k) {
    if (scratch.jobs[k].authentic == 0) {
      batch.request[scratch.row_of[k]].verdict = Verdict::nak_cookie;
      continue;
    }
    scratch.move_entry(k, opened);
    scratch.key_pointers[opened] = scratch.keys[opened].octets.data();
    ++opened;
  }
  if (opened == 0) return;

  // Verify under C2S. The encrypted fields are decrypted where they stand: nobody needs the ciphertext again.
  tier_.expand_keys(scratch.key_pointers.data(), opened, &scratch.table);
  for (std::uint32_t k = 0; k < opened; ++k) {
    const std::uint32_t row = scratch.row_of[k];
    const Request& request = batch.request[row];
    std::uint8_t* packet = batch.packet[row];
    std::uint8_t* sealed = packet + request.sealed_offset;
    scratch.jobs[k] = {.associated_data = packet,
                       .nonce = packet + request.nonce_offset,
                       .plaintext = sealed + siv::tag_bytes,
                       .sealed = sealed,
                       .associated_data_bytes = request.authenticator_offset,
                       .nonce_bytes = request.nonce_bytes,
                       .plaintext_bytes = request.sealed_bytes - siv::tag_bytes,
                       .authentic = 0};
  }
  tier_.open(&scratch.table, scratch.jobs.data(), opened);
  std::uint32_t verified = 0;
  for (std::uint32_t k = 0; k < opened; ++k) {
    Request& request = batch.request[scratch.row_of[k]];
    const siv::Job& job = scratch.jobs[k];
    if (job.authentic == 0) {
      request.verdict = Verdict::nak_authenticator;
      continue;
    }
    if (job.plaintext_bytes != 0) read_encrypted_fields({job.plaintext, job.plaintext_bytes}, request);
    if (request.verdict != Verdict::answer_nts) continue;
    scratch.move_entry(k, verified);
    ++verified;
  }
  scratch.packed = verified;
}

void Server::prepare_answers(Batch& batch, const ExpandedKeyRing& keys, const ClockReading& clock) noexcept {
  Scratch& scratch = *scratch_;

  // Authenticated answers first: only what fits is promised.
  std::uint32_t kept = 0;
  std::uint32_t cookies = 0;
  for (std::uint32_t k = 0; k < scratch.packed; ++k) {
    const std::uint32_t row = scratch.row_of[k];
    Request& request = batch.request[row];
    const NtsAnswer answer = plan_nts_answer(request, batch.packet_bytes[row]);
    if (answer.bytes == 0) {
      request.verdict = Verdict::drop_no_room;
      continue;
    }
    scratch.move_entry(k, kept);
    scratch.answers[kept] = answer;
    scratch.key_pointers[kept] = scratch.keys[kept].octets.data() + session_key_bytes;
    cookies += answer.cookies;
    ++kept;
  }
  scratch.packed = kept;

  // Headers and echoed fields of every row that is answered.
  for (std::uint32_t row = 0; row < batch.count; ++row) {
    const Request& request = batch.request[row];
    std::uint8_t* packet = batch.packet[row];
    std::uint32_t bytes = 0;
    if (request.verdict == Verdict::answer_plain || request.verdict == Verdict::answer_nts) {
      write_header(packet, request.version, batch.received[row], clock);
      bytes = header_bytes;
    } else if (is_answered(request.verdict)) {
      write_nak_header(packet, request.version, batch.received[row]);
      bytes = header_bytes;
    }
    if (bytes != 0 && request.unique_identifier_offset != 0) bytes = place_unique_identifier(packet, request);
    batch.answer_bytes[row] = static_cast<std::uint16_t>(bytes);
  }
  if (kept == 0) return;

  // Fresh cookies, all at once, each where it will be sealed a second time under S2C.
  random_.fill({scratch.random.data(), (cookies + kept) * 16});
  const std::uint8_t* random = scratch.random.data();
  std::uint32_t jobs = 0;
  for (std::uint32_t k = 0; k < kept; ++k) {
    const std::uint32_t row = scratch.row_of[k];
    const NtsAnswer& answer = scratch.answers[k];
    std::uint8_t* packet = batch.packet[row];
    write_authenticator_frame(packet, answer);
    std::memcpy(packet + answer.nonce_offset, random, answer_nonce_bytes);
    random += 16;
    for (std::uint32_t i = 0; i < answer.cookies; ++i, random += 16) {
      std::uint8_t* cookie = packet + answer.plaintext_offset + i * cookie_field_bytes + field_header_bytes;
      make_seal_job(cookie, keys.current_id(), std::span<const std::uint8_t, 16>(random, 16),
                    scratch.keys[k].octets.data(), scratch.jobs[jobs++]);
    }
    batch.answer_bytes[row] = static_cast<std::uint16_t>(answer.bytes);
  }
  tier_.seal_with_ring_key(&keys.current_schedule(), scratch.jobs.data(), jobs);
  tier_.expand_keys(scratch.key_pointers.data(), kept, &scratch.table);
}

void Server::seal_answers(Batch& batch, NtpTime transmit) noexcept {
  Scratch& scratch = *scratch_;
  for (std::uint32_t row = 0; row < batch.count; ++row) {
    if (batch.answer_bytes[row] == 0) continue;
    // The one promise that is never broken, whatever became of the lines above (TESTS.md J01).
    check(batch.answer_bytes[row] <= batch.packet_bytes[row]);
    const NtpTime received = batch.received[row];
    const std::uint64_t stamp =
        difference(transmit, received) > 0 ? transmit.units : received.units + 1;  // P41, and never equal
    store_u64(batch.packet[row] + header::transmit_time, stamp);
  }
  for (std::uint32_t k = 0; k < scratch.packed; ++k) {
    const NtsAnswer& answer = scratch.answers[k];
    std::uint8_t* packet = batch.packet[scratch.row_of[k]];
    scratch.jobs[k] = {.associated_data = packet,
                       .nonce = packet + answer.nonce_offset,
                       .plaintext = packet + answer.plaintext_offset,
                       .sealed = packet + answer.sealed_offset,
                       .associated_data_bytes = answer.authenticator_offset,
                       .nonce_bytes = answer_nonce_bytes,
                       .plaintext_bytes = answer.bytes - answer.plaintext_offset,
                       .authentic = 0};
  }
  if (scratch.packed != 0) tier_.seal(&scratch.table, scratch.jobs.data(), scratch.packed);
  scratch.packed = 0;
}

}  // namespace nts
