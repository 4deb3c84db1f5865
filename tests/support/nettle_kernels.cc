#include "tests/support/nettle_kernels.h"

#include <algorithm>

#include <nettle/siv-cmac.h>

namespace tests {
namespace {

using nts::siv::Job;
using nts::siv::KeyTable;
using nts::siv::RingKeySchedule;
using nts::siv::tag_bytes;

// An expanded key lies where a tier of ours would put its own.
using Context = siv_cmac_aes128_ctx;
constexpr std::size_t key_stride = sizeof(KeyTable) / nts::siv::key_table_keys_max;
static_assert(sizeof(Context) <= key_stride && sizeof(Context) <= sizeof(RingKeySchedule));

const Context* context_of(const KeyTable* table, std::uint32_t key) {
  return reinterpret_cast<const Context*>(table->bytes + key * key_stride);
}
const Context* context_of(const RingKeySchedule* schedule) {
  return reinterpret_cast<const Context*>(schedule->bytes);
}

// nettle makes and checks the tag over the plaintext it reads or has written, so text in place is right.
void open_one(const Context* context, Job& job) {
  job.authentic = static_cast<std::uint32_t>(
      siv_cmac_aes128_decrypt_message(context, job.nonce_bytes, job.nonce, job.associated_data_bytes,
                                      job.associated_data, job.plaintext_bytes, job.plaintext, job.sealed));
  if (job.authentic == 0) std::fill_n(job.plaintext, job.plaintext_bytes, std::uint8_t{0});
}

void seal_one(const Context* context, Job& job) {
  siv_cmac_aes128_encrypt_message(context, job.nonce_bytes, job.nonce, job.associated_data_bytes,
                                  job.associated_data, job.plaintext_bytes + tag_bytes, job.sealed,
                                  job.plaintext);
}

int always() { return 1; }

void expand_ring_key(const std::uint8_t* key, RingKeySchedule* schedule) {
  siv_cmac_aes128_set_key(reinterpret_cast<Context*>(schedule->bytes), key);
}

void expand_keys(const std::uint8_t* const* keys, std::uint32_t count, KeyTable* table) {
  for (std::uint32_t i = 0; i < count; ++i) {
    siv_cmac_aes128_set_key(reinterpret_cast<Context*>(table->bytes + i * key_stride), keys[i]);
  }
}

void open(const KeyTable* table, Job* jobs, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) open_one(context_of(table, i), jobs[i]);
}

void seal(const KeyTable* table, Job* jobs, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) seal_one(context_of(table, i), jobs[i]);
}

void open_with_ring_keys(const RingKeySchedule* const* schedules, Job* jobs, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) open_one(context_of(schedules[i]), jobs[i]);
}

void seal_with_ring_key(const RingKeySchedule* schedule, Job* jobs, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) seal_one(context_of(schedule), jobs[i]);
}

constexpr nts::siv::Kernels kernels = {"nettle",
                                       "whatever nettle finds",
                                       1,
                                       always,
                                       expand_ring_key,
                                       expand_keys,
                                       open,
                                       seal,
                                       open_with_ring_keys,
                                       seal_with_ring_key};

}  // namespace

const nts::siv::Kernels& nettle_kernels() noexcept { return kernels; }

}  // namespace tests
