#include "nts/server.h"

#include <cstring>
#include <iterator>
#include <new>

#include "nts/check.h"
#include "nts/cookie.h"
#include "nts/secret.h"

namespace nts {

namespace {

// What becomes of a request that its source's treatment changes; what is no request is refused as ever.
Verdict treated(Verdict verdict, Treatment treatment) noexcept {
  if (verdict != Verdict::answer_plain && verdict != Verdict::answer_nts) return verdict;
  const bool is_plain = verdict == Verdict::answer_plain;
  switch (treatment) {
    case Treatment::kiss_rate:
      return Verdict::kiss_rate;
    case Treatment::kiss_deny:
      return Verdict::kiss_deny;
    case Treatment::nts_only_or_kiss_deny:
      return is_plain ? Verdict::kiss_deny : verdict;
    case Treatment::nts_only:
      return is_plain ? Verdict::drop_plain_refused : verdict;
    case Treatment::serve:
      break;
  }
  return verdict;
}

void kiss(Batch& batch, std::uint32_t row, Verdict verdict) noexcept {
  batch.request[row].verdict = verdict;
  batch.has_kisses = true;
}

// The AEADs that are AES-SIV, the usual one first: each has kernels and a key table of its own.
constexpr AeadRow siv_rows[] = {AeadRow::siv_256, AeadRow::siv_384, AeadRow::siv_512};
constexpr std::uint32_t long_key_rows =
    1U << static_cast<std::uint32_t>(AeadRow::siv_384) | 1U << static_cast<std::uint32_t>(AeadRow::siv_512);

std::uint32_t kiss_code_of(Verdict verdict) noexcept {
  if (verdict == Verdict::kiss_rate) return kiss_code_rate;
  return verdict == Verdict::kiss_deny ? kiss_code_deny : kiss_ntsn;
}

}  // namespace

// The working table of one burst. Rows of the batch that take part in a step are packed together, so that
// lanes fill whatever the mixture, and stand by AEAD, because each has kernels of its own.
struct Server::Scratch {
  struct SessionKeys {  // C2S | S2C, as a cookie holds them
    std::array<std::uint8_t, 2 * aead_key_bytes_max> octets;
  };
  struct Entry {
    std::uint32_t row;  // of the batch
    AeadRow aead;
    const std::uint8_t* keys;  // C2S | S2C
  };
  struct Group {  // of entries under one AEAD
    std::uint32_t first, count;
  };

  std::uint32_t packed = 0;
  std::uint32_t siv_rows_met = 1;  // of siv_rows, from the front: the rest has no entry in this burst
  std::array<Entry, burst_max> entries;
  std::array<SessionKeys, burst_max> keys;
  std::array<NtsAnswer, burst_max> answers;

  std::array<const siv::RingKeySchedule*, burst_max> schedules;
  std::array<const std::uint8_t*, burst_max> key_pointers;
  std::array<const std::uint8_t*, burst_max> nonce_pointers;
  std::array<siv::Job, burst_max * cookies_max> jobs;
  std::array<std::uint8_t, burst_max*(cookies_max + 1) * 16> random;
  // C2S while requests are verified, S2C from prepare_answers on.
  std::array<siv::KeyTable, std::size(siv_rows)> siv_tables;
  gcm_siv::KeyTable gcm_siv_table;

  ~Scratch() {
    // A burst's keys are overwritten by the next burst; the last ones go here.
    for (SessionKeys& session : keys) wipe(session.octets);
    for (siv::KeyTable& table : siv_tables) wipe(table.bytes);
    wipe(gcm_siv_table.bytes);
    wipe_stack_below();
  }

  // Entry `from` becomes entry `to` (to <= from): those that failed fall out of the packing.
  void move_entry(std::uint32_t from, std::uint32_t to) noexcept {
    if (from != to) entries[to] = entries[from];
  }

  // Entries by AEAD, those of one AEAD in their order.
  void sort_by_aead(std::uint32_t count) noexcept {
    const std::array<Entry, burst_max> unsorted = entries;
    std::uint32_t to = 0;
    for (std::uint32_t row = 0; row < aeads_count; ++row) {
      for (std::uint32_t k = 0; k < count; ++k) {
        if (unsorted[k].aead == static_cast<AeadRow>(row)) entries[to++] = unsorted[k];
      }
    }
  }

  // Of sorted entries.
  [[nodiscard]] Group group_of(AeadRow aead, std::uint32_t count) const noexcept {
    Group group{0, 0};
    if (count != 0 && entries[0].aead == entries[count - 1].aead) {  // as in nearly every burst
      group.count = entries[0].aead == aead ? count : 0;
      return group;
    }
    for (std::uint32_t k = 0; k < count; ++k) {
      group.first += entries[k].aead < aead;
      group.count += entries[k].aead == aead;
    }
    return group;
  }
};

Server::Server(const AeadKernels& kernels, RandomSource& random)
    : kernels_(kernels), random_(random), scratch_(std::make_unique<Scratch>()) {}

Server::~Server() = default;

void Server::open_requests(Batch& batch, const ExpandedKeyRing& keys, const Policy& policy) noexcept {
  check(batch.count <= burst_max);
  Scratch& scratch = *scratch_;
  const bool serves_nts = policy.answer_nts && keys.can_serve();

  batch.has_kisses = false;
  // Read all; gather the cookies that some key of the ring may open.
  std::uint32_t packed = 0;
  std::uint32_t aeads_met = 0;     // a bit for each row
  std::uint32_t looked_up_id = 0;  // never an id
  ExpandedKeyRing::Lookup lookup{ExpandedKeyRing::Found::unknown, nullptr};
  for (std::uint32_t row = 0; row < batch.count; ++row) {
    std::uint8_t* packet = batch.packet[row];
    // Read in place: a copy right behind the octets that fill it would wait for every one of them.
    Request& request = *new (&batch.request[row]) Request(read_request({packet, batch.packet_bytes[row]}));
    if (batch.treatment[row] != Treatment::serve) [[unlikely]] {
      request.verdict = treated(request.verdict, batch.treatment[row]);
      batch.has_kisses = batch.has_kisses || is_kiss(request.verdict);
    }
    if (request.verdict == Verdict::answer_plain) {
      if (!policy.answer_plain) request.verdict = Verdict::drop_plain_refused;
      continue;
    }
    if (request.verdict != Verdict::answer_nts) continue;
    if (!serves_nts) {
      request.verdict = Verdict::drop_no_keys;
      continue;
    }
    const AeadRow aead = aead_of_cookie(request.cookie_bytes);
    if (!kernels_.has(aead)) {
      kiss(batch, row, Verdict::nak_cookie);
      continue;
    }
    const std::uint8_t* cookie = packet + request.cookie_offset;
    const std::uint32_t key_id = cookie_key_id(cookie);
    if (key_id != looked_up_id) {  // a burst's cookies are mostly under one key
      lookup = keys.find(key_id);
      looked_up_id = key_id;
    }
    if (lookup.found != ExpandedKeyRing::Found::opens) {
      kiss(batch, row,
           lookup.found == ExpandedKeyRing::Found::retired ? Verdict::nak_key_retired
                                                           : Verdict::nak_key_unknown);
      continue;
    }
    std::uint8_t* session_keys = scratch.keys[packed].octets.data();
    scratch.entries[packed] = {row, aead, session_keys};
    scratch.schedules[packed] = lookup.schedule;
    make_open_job(cookie, session_keys, scratch.jobs[packed], 2 * aead_at(aead).key_bytes);
    aeads_met |= 1U << static_cast<std::uint32_t>(aead);
    ++packed;
  }
  scratch.packed = 0;
  scratch.siv_rows_met = (aeads_met & long_key_rows) == 0 ? 1 : std::size(siv_rows);
  if (packed == 0) return;

  // Open the cookies; those that do not open leave the packing.
  kernels_.siv->open_with_ring_keys(scratch.schedules.data(), scratch.jobs.data(), packed);
  std::uint32_t opened = 0;
  for (std::uint32_t k = 0; k < packed; ++k) {
    if (scratch.jobs[k].authentic == 0) {
      kiss(batch, scratch.entries[k].row, Verdict::nak_cookie);
      continue;
    }
    scratch.move_entry(k, opened++);
  }
  if (opened == 0) return;
  if ((aeads_met & (aeads_met - 1)) != 0) scratch.sort_by_aead(opened);
  verify(batch, opened);
}

// Verifies the first `opened` entries under C2S. The encrypted fields are decrypted where they stand: nobody
// needs the ciphertext again.
void Server::verify(Batch& batch, std::uint32_t opened) noexcept {
  Scratch& scratch = *scratch_;
  std::uint32_t encrypted_bytes = 0;
  std::uint32_t packed = 0;
  for (std::uint32_t k = 0; k < opened; ++k) {
    const Scratch::Entry& entry = scratch.entries[k];
    const Aead& aead = aead_at(entry.aead);
    Request& request = batch.request[entry.row];
    if (!aead.takes_any_nonce && request.nonce_bytes != aead.nonce_bytes) {
      kiss(batch, entry.row, Verdict::nak_authenticator);  // no key makes a tag for such a nonce
      continue;
    }
    std::uint8_t* packet = batch.packet[entry.row];
    std::uint8_t* sealed = packet + request.sealed_offset;
    scratch.jobs[packed] = {.associated_data = packet,
                            .nonce = packet + request.nonce_offset,
                            .plaintext = sealed + (aead.is_tag_first ? aead_tag_bytes : 0),
                            .sealed = sealed,
                            .associated_data_bytes = request.authenticator_offset,
                            .nonce_bytes = request.nonce_bytes,
                            .plaintext_bytes = request.sealed_bytes - aead_tag_bytes,
                            .authentic = 0};
    encrypted_bytes |= scratch.jobs[packed].plaintext_bytes;
    scratch.key_pointers[packed] = entry.keys;
    scratch.nonce_pointers[packed] = scratch.jobs[packed].nonce;
    scratch.move_entry(k, packed);
    ++packed;
  }
  for (std::uint32_t i = 0; i < scratch.siv_rows_met; ++i) {
    const auto group = scratch.group_of(siv_rows[i], packed);
    if (group.count == 0) continue;
    const siv::Kernels& tier = *kernels_.siv_of(siv_rows[i]);
    const auto expand = encrypted_bytes == 0 ? tier.expand_keys_to_verify : tier.expand_keys;
    expand(&scratch.key_pointers[group.first], group.count, &scratch.siv_tables[i]);
    tier.open(&scratch.siv_tables[i], &scratch.jobs[group.first], group.count);
  }
  if (const auto group = scratch.group_of(AeadRow::gcm_siv_128, packed); group.count != 0) {
    kernels_.gcm_siv->derive_keys(&scratch.key_pointers[group.first], &scratch.nonce_pointers[group.first],
                                  group.count, &scratch.gcm_siv_table);
    kernels_.gcm_siv->open(&scratch.gcm_siv_table, &scratch.jobs[group.first], group.count);
  }
  std::uint32_t verified = 0;
  for (std::uint32_t k = 0; k < packed; ++k) {
    Request& request = batch.request[scratch.entries[k].row];
    const siv::Job& job = scratch.jobs[k];
    if (job.authentic == 0) {
      kiss(batch, scratch.entries[k].row, Verdict::nak_authenticator);
      continue;
    }
    if (job.plaintext_bytes != 0) read_encrypted_fields({job.plaintext, job.plaintext_bytes}, request);
    if (request.verdict != Verdict::answer_nts) continue;
    scratch.move_entry(k, verified++);
  }
  scratch.packed = verified;
}

void Server::prepare_answers(Batch& batch, const ExpandedKeyRing& keys, const ClockReading& clock) noexcept {
  Scratch& scratch = *scratch_;

  // Authenticated answers first: only what fits is promised.
  std::uint32_t kept = 0;
  std::uint32_t cookies = 0;
  for (std::uint32_t k = 0; k < scratch.packed; ++k) {
    const Scratch::Entry& entry = scratch.entries[k];
    Request& request = batch.request[entry.row];
    // In place, as a request is read: a copy would wait for every store that fills it.
    const NtsAnswer& answer =
        *new (&scratch.answers[kept]) NtsAnswer(plan_nts_answer(request, batch.packet_bytes[entry.row]));
    if (answer.bytes == 0) {
      request.verdict = Verdict::drop_no_room;
      continue;
    }
    scratch.key_pointers[kept] = entry.keys + aead_at(entry.aead).key_bytes;
    scratch.nonce_pointers[kept] = batch.packet[entry.row] + answer.nonce_offset;
    cookies += answer.cookies;
    scratch.move_entry(k, kept);
    ++kept;
  }
  scratch.packed = kept;

  // Headers and echoed fields of every row that is answered.
  bool asks_mono_root = false;
  for (std::uint32_t row = 0; row < batch.count; ++row) {
    const Request& request = batch.request[row];
    std::uint8_t* packet = batch.packet[row];
    std::uint32_t bytes = 0;
    if (request.verdict == Verdict::answer_plain || request.verdict == Verdict::answer_nts) {
      write_header(packet, request.version, batch.received[row], clock);
      bytes = header_bytes;
    } else if (is_answered(request.verdict)) {
      write_kiss_header(packet, request.version, batch.received[row], kiss_code_of(request.verdict));
      bytes = header_bytes;
    }
    if (bytes != 0 && request.answer_clear_bytes != 0) {  // most plain requests have no field at all
      if (request.unique_identifier_offset != 0) place_unique_identifier(packet, request);
      asks_mono_root |= request.asks_mono_root;
      bytes += is_kiss(request.verdict) ? request.unique_identifier_bytes : request.answer_clear_bytes;
    }
    batch.answer_bytes[row] = static_cast<std::uint16_t>(bytes);
  }
  batch.asks_mono_root = asks_mono_root;
  if (asks_mono_root) [[unlikely]]
    tell_mono_root(batch, {}, {});
  if (kept == 0) return;

  // Fresh cookies, all at once, each where it will be sealed a second time under S2C.
  random_.fill({scratch.random.data(), (cookies + kept) * 16});
  const std::uint8_t* random = scratch.random.data();
  std::uint32_t jobs = 0;
  for (std::uint32_t k = 0; k < kept; ++k) {
    const Scratch::Entry& entry = scratch.entries[k];
    const std::uint32_t keys_bytes = 2 * aead_at(entry.aead).key_bytes;
    const NtsAnswer& answer = scratch.answers[k];
    std::uint8_t* packet = batch.packet[entry.row];
    // 16 octets whatever the AEAD takes: the frame of the cookies is written over what is too many.
    std::memcpy(packet + answer.nonce_offset, random, answer_nonce_bytes);
    write_authenticator_frame(packet, answer);
    random += 16;
    for (std::uint32_t i = 0; i < answer.cookies; ++i, random += 16) {
      std::uint8_t* cookie =
          packet + answer.plaintext_offset + i * answer.cookie_field_bytes + field_header_bytes;
      make_seal_job(cookie, keys.current_id(), std::span<const std::uint8_t, 16>(random, 16), entry.keys,
                    scratch.jobs[jobs++], keys_bytes);
    }
    batch.answer_bytes[entry.row] = static_cast<std::uint16_t>(answer.bytes);
  }
  kernels_.siv->seal_with_ring_key(&keys.current_schedule(), scratch.jobs.data(), jobs);
  for (std::uint32_t i = 0; i < scratch.siv_rows_met; ++i) {
    const auto group = scratch.group_of(siv_rows[i], kept);
    if (group.count == 0) continue;
    kernels_.siv_of(siv_rows[i])
        ->expand_keys(&scratch.key_pointers[group.first], group.count, &scratch.siv_tables[i]);
  }
  if (const auto group = scratch.group_of(AeadRow::gcm_siv_128, kept); group.count != 0) {
    kernels_.gcm_siv->derive_keys(&scratch.key_pointers[group.first], &scratch.nonce_pointers[group.first],
                                  group.count, &scratch.gcm_siv_table);
  }
}

void Server::smear_headers(Batch& batch, const ClockReading& clock) noexcept {
  for (std::uint32_t row = 0; row < batch.count; ++row) {
    const Request& request = batch.request[row];
    const bool is_time = request.verdict == Verdict::answer_plain || request.verdict == Verdict::answer_nts;
    if ((batch.smeared >> row & 1) != 0 && is_time && batch.answer_bytes[row] != 0)
      write_header(batch.packet[row], request.version, batch.received[row], clock);
  }
}

void Server::tell_mono_root(Batch& batch, const MonoRoot& root, const MonoRoot& smeared) noexcept {
  for (std::uint32_t row = 0; row < batch.count; ++row) {
    const Request& request = batch.request[row];
    const bool is_time = request.verdict == Verdict::answer_plain || request.verdict == Verdict::answer_nts;
    if (!request.asks_mono_root || !is_time || batch.answer_bytes[row] == 0) continue;
    write_mono_root(batch.packet[row] + header_bytes + request.unique_identifier_bytes,
                    (batch.smeared >> row & 1) != 0 ? smeared : root);
  }
}

void Server::seal_answers(Batch& batch, NtpTime transmit, NtpTime smeared_transmit) noexcept {
  Scratch& scratch = *scratch_;
  for (std::uint32_t row = 0; row < batch.count; ++row) {
    if (batch.answer_bytes[row] == 0) continue;
    // The one promise that is never broken, whatever became of the lines above (TESTS.md J01).
    check(batch.answer_bytes[row] <= batch.packet_bytes[row]);
    const NtpTime received = batch.received[row];
    const NtpTime leaves = (batch.smeared >> row & 1) != 0 ? smeared_transmit : transmit;
    const std::uint64_t stamp =
        difference(leaves, received) > 0 ? leaves.units : received.units + 1;  // P41, and never equal
    store_u64(batch.packet[row] + header::transmit_time, stamp);
  }
  for (std::uint32_t k = 0; k < scratch.packed; ++k) {
    const NtsAnswer& answer = scratch.answers[k];
    std::uint8_t* packet = batch.packet[scratch.entries[k].row];
    scratch.jobs[k] = {.associated_data = packet,
                       .nonce = packet + answer.nonce_offset,
                       .plaintext = packet + answer.plaintext_offset,
                       .sealed = packet + answer.sealed_offset,
                       .associated_data_bytes = answer.authenticator_offset,
                       .nonce_bytes = answer.nonce_bytes,
                       .plaintext_bytes = answer.cookies * answer.cookie_field_bytes,
                       .authentic = 0};
  }
  for (std::uint32_t i = 0; i < scratch.siv_rows_met; ++i) {
    const auto group = scratch.group_of(siv_rows[i], scratch.packed);
    if (group.count == 0) continue;
    kernels_.siv_of(siv_rows[i])->seal(&scratch.siv_tables[i], &scratch.jobs[group.first], group.count);
  }
  if (const auto group = scratch.group_of(AeadRow::gcm_siv_128, scratch.packed); group.count != 0) {
    kernels_.gcm_siv->seal(&scratch.gcm_siv_table, &scratch.jobs[group.first], group.count);
  }
  scratch.packed = 0;
}

}  // namespace nts
