#include "nts/server.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "nts/check.h"
#include "nts/cookie.h"
#include "nts/header_template.h"
#include "nts/runs.h"
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

// From how many messages of one shape on a call of their own is worth it: a quarter of the lanes, as in
// nts/siv/groups.h.
Runs::Least least_of(const AeadKernels& kernels) noexcept {
  Runs::Least least{};
  for (std::uint32_t row = 0; row < aeads_count; ++row) {
    const siv::Kernels* siv = kernels.siv_of(static_cast<AeadRow>(row));
    const std::uint32_t lanes = siv != nullptr               ? siv->lanes
                                : kernels.gcm_siv != nullptr ? kernels.gcm_siv->lanes
                                                             : 1;
    least[row] = std::max(lanes / 4, 1U);
  }
  return least;
}

// Rows from which on a template of the header is worth its making.
constexpr std::uint32_t template_rows_min = 3;

// What nearly all plain clients send, told without a call: version 4, mode 3, and nothing behind the header.
// Sets of `request` what read_request would.
[[gnu::always_inline]] inline bool is_usual_plain(const std::uint8_t* packet, std::uint16_t bytes,
                                                  Request& request) noexcept {
  constexpr std::uint8_t version_and_mode_mask = 0x3f;  // any leap indicator
  if (bytes != header_bytes || (*packet & version_and_mode_mask) != (4 << 3 | mode_client)) return false;
  new (&request) Request{.verdict = Verdict::answer_plain, .version = 4};
  return true;
}

std::uint32_t kiss_code_of(Verdict verdict) noexcept {
  if (verdict == Verdict::kiss_rate) return kiss_code_rate;
  return verdict == Verdict::kiss_deny ? kiss_code_deny : kiss_ntsn;
}

}  // namespace

// The working table of one burst. Rows of the batch that take part in a step are packed together, so that
// lanes fill whatever the mixture, and stand in runs (nts/runs.h).
struct Server::Scratch {
  struct SessionKeys {  // C2S | S2C, as a cookie holds them
    std::array<std::uint8_t, 2 * aead_key_bytes_max> octets;
  };
  struct Entry {
    Shape shape;                // of the request's message
    const std::uint8_t* keys;   // C2S | S2C
    const siv::CookieMac* mac;  // of the cookie, where has_macs
    std::uint32_t row;          // of the batch
  };
  // C2S while requests are verified, S2C from prepare_answers on.
  union Table {
    siv::KeyTable siv;
    gcm_siv::KeyTable gcm_siv;
  };

  Runs runs;
  Runs::Least least;
  std::array<Entry, burst_max> entries;
  std::array<SessionKeys, burst_max> keys;
  std::array<NtsAnswer, burst_max> answers;
  std::array<Shape, burst_max> shapes;
  bool is_in_row_order = true;                     // entries stand in the order of rows
  std::array<std::uint32_t, burst_max> random_at;  // of each entry in `random`, where they do not

  std::array<const siv::RingKeySchedule*, burst_max> schedules;
  std::array<const std::uint8_t*, burst_max> key_pointers;
  std::array<const std::uint8_t*, burst_max> nonce_pointers;
  std::array<siv::Job, burst_max * cookies_max> jobs;
  bool has_macs = false;  // fresh cookies are sealed under the key that opened all of the burst's
  std::array<siv::CookieMac, burst_max> opened_macs;
  std::array<siv::CookieMac, burst_max * cookies_max> macs;  // of `jobs` that seal cookies
  std::array<std::uint8_t, burst_max*(cookies_max + 1) * 16> random;
  std::array<Table, runs_max> tables;  // of each run

  ~Scratch() {
    // A burst's keys are overwritten by the next burst; the last ones go here.
    for (SessionKeys& session : keys) wipe(session.octets);
    for (siv::CookieMac& mac : opened_macs) wipe(mac.octets);
    for (siv::CookieMac& mac : macs) wipe(mac.octets);
    static_assert(sizeof(siv::KeyTable) >= sizeof(gcm_siv::KeyTable));
    for (Table& table : tables) wipe(table.siv.bytes);  // the larger one
    wipe_stack_below();
  }

  // Entry `from` becomes entry `to` (to <= from): those that failed fall out of the packing.
  void move_entry(std::uint32_t from, std::uint32_t to) noexcept {
    if (from != to) entries[to] = entries[from];
  }

  // Entries, with the answers planned for them, into runs of answers of one shape.
  void sort_answers(std::uint32_t count) noexcept {
    for (std::uint32_t k = 0; k < count; ++k) {
      const NtsAnswer& answer = answers[k];
      shapes[k] = shape_of(aead_of(entries[k].shape), static_cast<std::uint16_t>(answer.authenticator_offset),
                           static_cast<std::uint16_t>(answer.nonce_bytes),
                           static_cast<std::uint16_t>(answer.cookies * answer.cookie_field_bytes));
    }
    sort_into_runs(count, entries, answers);
  }

  // Says which octets of `random` are whose: by AEAD, then by row, so that nobody's nonces depend on the
  // order in which lanes are filled.
  void share_random(std::uint32_t count) noexcept {
    std::uint32_t at = 0;
    for (std::uint32_t first = 0; first < count;) {
      const AeadRow aead = aead_of(entries[first].shape);
      std::array<std::uint8_t, burst_max> entry_of_row;
      std::uint32_t rows = 0;  // a bit for each
      for (; first < count && aead_of(entries[first].shape) == aead; ++first) {
        entry_of_row[entries[first].row] = static_cast<std::uint8_t>(first);
        rows |= std::uint32_t{1} << entries[first].row;
      }
      for (; rows != 0; rows &= rows - 1) {
        const std::uint32_t entry = entry_of_row[static_cast<std::uint32_t>(std::countr_zero(rows))];
        random_at[entry] = at;
        at += 16 * (1 + answers[entry].cookies);
      }
    }
  }

  // The first `count` of `shapes` into runs; what stands beside them in `columns` goes with them.
  template <class... Columns>
  void sort_into_runs(std::uint32_t count, Columns&... columns) noexcept {
    std::array<std::uint8_t, burst_max> order;
    runs.sort(std::span(shapes).first(count), least, order);
    is_in_row_order = false;
    const auto sort = [&](auto& column) {
      const auto unsorted = column;
      for (std::uint32_t k = 0; k < count; ++k) column[k] = unsorted[order[k]];
    };
    (sort(columns), ...);
  }
};

Server::Server(const AeadKernels& kernels, RandomSource& random)
    : kernels_(kernels), random_(random), scratch_(std::make_unique<Scratch>()) {
  scratch_->least = least_of(kernels);
}

Server::~Server() = default;

void Server::open_requests(Batch& batch, const ExpandedKeyRing& keys, const Policy& policy) noexcept {
  check(batch.count <= burst_max);
  Scratch& scratch = *scratch_;
  const bool serves_nts = policy.answer_nts && keys.can_serve();

  batch.has_kisses = false;
  // Read all; gather the cookies that some key of the ring may open.
  std::uint32_t packed = 0;
  std::uint32_t looked_up_id = 0;  // never an id
  ExpandedKeyRing::Lookup lookup{ExpandedKeyRing::Found::unknown, nullptr};
  for (std::uint32_t row = 0; row < batch.count; ++row) {
    std::uint8_t* packet = batch.packet[row];
    Request& request = batch.request[row];
    if (!is_usual_plain(packet, batch.packet_bytes[row], request)) {
      // Read in place: a copy right behind the octets that fill it would wait for every one of them.
      new (&request) Request(read_request({packet, batch.packet_bytes[row]}));
    }
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
    scratch.entries[packed] = {
        shape_of(aead, request.authenticator_offset, request.nonce_bytes, request.sealed_bytes), session_keys,
        &scratch.opened_macs[packed], row};
    scratch.schedules[packed] = lookup.schedule;
    make_open_job(cookie, session_keys, scratch.jobs[packed], 2 * aead_at(aead).key_bytes);
    ++packed;
  }
  scratch.runs.clear();
  if (packed == 0) return;

  // Open the cookies; those that do not open leave the packing.
  scratch.has_macs = kernels_.siv->open_cookies(scratch.schedules.data(), scratch.jobs.data(), packed,
                                                scratch.opened_macs.data()) != 0 &&
                     scratch.schedules[0] == &keys.current_schedule();
  std::uint32_t opened = 0;
  Shape differs = 0;
  for (std::uint32_t k = 0; k < packed; ++k) {
    if (scratch.jobs[k].authentic == 0) {
      kiss(batch, scratch.entries[k].row, Verdict::nak_cookie);
      continue;
    }
    scratch.move_entry(k, opened);
    differs |= scratch.entries[opened].shape ^ scratch.entries[0].shape;
    ++opened;
  }
  if (opened == 0) return;
  if (differs == 0) {  // as in nearly every burst
    scratch.runs.set_one(aead_of(scratch.entries[0].shape), opened);
    scratch.is_in_row_order = true;
  } else {
    for (std::uint32_t k = 0; k < opened; ++k) scratch.shapes[k] = scratch.entries[k].shape;
    scratch.sort_into_runs(opened, scratch.entries);
  }
  verify(batch);
}

// Verifies the entries under C2S, run by run. The encrypted fields are decrypted where they stand: nobody
// needs the ciphertext again.
void Server::verify(Batch& batch) noexcept {
  Scratch& scratch = *scratch_;
  std::uint32_t verified = 0;
  Scratch::Table* table = scratch.tables.data();
  for (Run& run : scratch.runs) {
    const Aead& aead = aead_at(run.aead);
    const std::uint32_t first = verified;
    const std::uint32_t end = run.first + run.count;
    std::uint32_t encrypted_bytes = 0;
    std::uint32_t jobs = 0;
    for (std::uint32_t k = run.first; k < end; ++k) {
      const Scratch::Entry& entry = scratch.entries[k];
      const Request& request = batch.request[entry.row];
      if (!aead.takes_any_nonce && request.nonce_bytes != aead.nonce_bytes) {
        kiss(batch, entry.row, Verdict::nak_authenticator);  // no key makes a tag for such a nonce
        continue;
      }
      std::uint8_t* packet = batch.packet[entry.row];
      std::uint8_t* sealed = packet + request.sealed_offset;
      siv::Job& job = scratch.jobs[jobs];
      job = {.associated_data = packet,
             .nonce = packet + request.nonce_offset,
             .plaintext = sealed + (aead.is_tag_first ? aead_tag_bytes : 0),
             .sealed = sealed,
             .associated_data_bytes = request.authenticator_offset,
             .nonce_bytes = request.nonce_bytes,
             .plaintext_bytes = request.sealed_bytes - aead_tag_bytes,
             .authentic = 0};
      encrypted_bytes |= job.plaintext_bytes;
      scratch.key_pointers[jobs] = entry.keys;
      scratch.move_entry(k, first + jobs);
      ++jobs;
    }
    if (const siv::Kernels* tier = kernels_.siv_of(run.aead); tier != nullptr) {
      const auto expand = encrypted_bytes == 0 ? tier->expand_keys_to_verify : tier->expand_keys;
      expand(scratch.key_pointers.data(), jobs, &table->siv);
      tier->open(&table->siv, scratch.jobs.data(), jobs);
    } else {
      for (std::uint32_t i = 0; i < jobs; ++i) scratch.nonce_pointers[i] = scratch.jobs[i].nonce;
      kernels_.gcm_siv->derive_keys(scratch.key_pointers.data(), scratch.nonce_pointers.data(), jobs,
                                    &table->gcm_siv);
      kernels_.gcm_siv->open(&table->gcm_siv, scratch.jobs.data(), jobs);
    }
    for (std::uint32_t i = 0; i < jobs; ++i) {
      const std::uint32_t row = scratch.entries[first + i].row;
      Request& request = batch.request[row];
      const siv::Job& job = scratch.jobs[i];
      if (job.authentic == 0) {
        kiss(batch, row, Verdict::nak_authenticator);
        continue;
      }
      if (job.plaintext_bytes != 0) read_encrypted_fields({job.plaintext, job.plaintext_bytes}, request);
      if (request.verdict != Verdict::answer_nts) continue;
      scratch.move_entry(first + i, verified++);
    }
    run = {run.aead, first, verified - first};
    ++table;
  }
}

void Server::prepare_answers(Batch& batch, const ExpandedKeyRing& keys, const ClockReading& clock) noexcept {
  Scratch& scratch = *scratch_;

  // Authenticated answers first: only what fits is promised.
  std::uint32_t kept = 0;
  std::uint32_t cookies = 0;
  std::uint32_t differs = 0;  // lengths within a run
  for (Run& run : scratch.runs) {
    const std::uint32_t first = kept;
    const std::uint32_t end = run.first + run.count;
    for (std::uint32_t k = run.first; k < end; ++k) {
      const std::uint32_t row = scratch.entries[k].row;
      Request& request = batch.request[row];
      // In place, as a request is read: a copy would wait for every store that fills it.
      const NtsAnswer& answer =
          *new (&scratch.answers[kept]) NtsAnswer(plan_nts_answer(request, batch.packet_bytes[row]));
      if (answer.bytes == 0) {
        request.verdict = Verdict::drop_no_room;
        continue;
      }
      cookies += answer.cookies;
      differs |=
          (answer.bytes ^ scratch.answers[first].bytes) | (answer.cookies ^ scratch.answers[first].cookies);
      scratch.move_entry(k, kept);
      ++kept;
    }
    run = {run.aead, first, kept - first};
  }
  // Requests of one shape may want other numbers of cookies, or have answers without what they brought.
  if (differs != 0) [[unlikely]]
    scratch.sort_answers(kept);

  // Headers and echoed fields of every row that is answered.
  HeaderTemplate usual;
  if (batch.count >= template_rows_min) usual = HeaderTemplate(4, batch.received[0], clock);
  bool asks_mono_root = false;
  for (std::uint32_t row = 0; row < batch.count; ++row) {
    const Request& request = batch.request[row];
    std::uint8_t* packet = batch.packet[row];
    std::uint32_t bytes = 0;
    if (request.verdict == Verdict::answer_plain || request.verdict == Verdict::answer_nts) {
      usual.write(packet, request.version, batch.received[row], clock);
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
  if (!scratch.is_in_row_order) scratch.share_random(kept);
  Scratch::Table* table = scratch.tables.data();
  std::uint32_t jobs = 0;
  std::uint32_t sealed = 0;  // of them
  for (const Run& run : scratch.runs) {
    const std::uint32_t key_bytes = aead_at(run.aead).key_bytes;
    const std::uint32_t end = run.first + run.count;
    for (std::uint32_t k = run.first; k < end; ++k) {
      const Scratch::Entry& entry = scratch.entries[k];
      const NtsAnswer& answer = scratch.answers[k];
      std::uint8_t* packet = batch.packet[entry.row];
      if (!scratch.is_in_row_order) random = &scratch.random[scratch.random_at[k]];
      // 16 octets whatever the AEAD takes: the frame of the cookies is written over what is too many.
      std::memcpy(packet + answer.nonce_offset, random, answer_nonce_bytes);
      write_authenticator_frame(packet, answer);
      random += 16;
      for (std::uint32_t i = 0; i < answer.cookies; ++i, random += 16) {
        scratch.macs[jobs] = *entry.mac;
        std::uint8_t* cookie =
            packet + answer.plaintext_offset + i * answer.cookie_field_bytes + field_header_bytes;
        make_seal_job(cookie, keys.current_id(), std::span<const std::uint8_t, 16>(random, 16), entry.keys,
                      scratch.jobs[jobs++], 2 * key_bytes);
      }
      batch.answer_bytes[entry.row] = static_cast<std::uint16_t>(answer.bytes);
      batch.cookies[entry.row] = static_cast<std::uint8_t>(answer.cookies);
      scratch.key_pointers[k] = entry.keys + key_bytes;
    }
    const bool has_next = &run + 1 != scratch.runs.end();
    if (!has_next || (&run)[1].aead != run.aead) {  // cookies of one AEAD have one shape
      if (scratch.has_macs) {
        kernels_.siv->seal_cookies(&keys.current_schedule(), &scratch.jobs[sealed], jobs - sealed,
                                   &scratch.macs[sealed]);
      } else {
        kernels_.siv->seal_with_ring_key(&keys.current_schedule(), &scratch.jobs[sealed], jobs - sealed);
      }
      sealed = jobs;
    }
  }
  for (const Run& run : scratch.runs) {
    if (const siv::Kernels* tier = kernels_.siv_of(run.aead); tier != nullptr) {
      tier->expand_keys(&scratch.key_pointers[run.first], run.count, &table->siv);
    } else {
      for (std::uint32_t k = run.first; k < run.first + run.count; ++k) {
        scratch.nonce_pointers[k] = batch.packet[scratch.entries[k].row] + scratch.answers[k].nonce_offset;
      }
      kernels_.gcm_siv->derive_keys(&scratch.key_pointers[run.first], &scratch.nonce_pointers[run.first],
                                    run.count, &table->gcm_siv);
    }
    ++table;
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
  Scratch::Table* table = scratch.tables.data();
  for (const Run& run : scratch.runs) {
    const std::uint32_t end = run.first + run.count;
    for (std::uint32_t k = run.first; k < end; ++k) {
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
    if (const siv::Kernels* tier = kernels_.siv_of(run.aead); tier != nullptr) {
      tier->seal(&table->siv, &scratch.jobs[run.first], run.count);
    } else {
      kernels_.gcm_siv->seal(&table->gcm_siv, &scratch.jobs[run.first], run.count);
    }
    ++table;
  }
  scratch.runs.clear();
}

}  // namespace nts
