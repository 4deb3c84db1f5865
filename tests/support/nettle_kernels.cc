#include "tests/support/nettle_kernels.h"

#include <cstring>
#include <vector>

#include <nettle/siv-cmac.h>

namespace tests {
namespace {

using nts::siv::Job;
using nts::siv::KeyTable;
using nts::siv::RingKeySchedule;
using nts::siv::tag_bytes;

constexpr std::size_t key_stride = sizeof(KeyTable) / nts::siv::key_table_keys_max;

void open_one(const std::uint8_t* key, Job& job) {
  siv_cmac_aes128_ctx context;
  siv_cmac_aes128_set_key(&context, key);
  std::vector<std::uint8_t> plaintext(job.plaintext_bytes + 1);  // nettle may not decrypt in place
  job.authentic = static_cast<std::uint32_t>(siv_cmac_aes128_decrypt_message(
      &context, job.nonce_bytes, job.nonce, job.associated_data_bytes, job.associated_data,
      job.plaintext_bytes, plaintext.data(), job.sealed));
  if (job.authentic == 0) std::fill(plaintext.begin(), plaintext.end(), std::uint8_t{0});
  if (job.plaintext_bytes != 0) std::memcpy(job.plaintext, plaintext.data(), job.plaintext_bytes);
}

void seal_one(const std::uint8_t* key, Job& job) {
  siv_cmac_aes128_ctx context;
  siv_cmac_aes128_set_key(&context, key);
  std::vector<std::uint8_t> sealed(job.plaintext_bytes + tag_bytes);
  siv_cmac_aes128_encrypt_message(&context, job.nonce_bytes, job.nonce, job.associated_data_bytes,
                                  job.associated_data, sealed.size(), sealed.data(), job.plaintext);
  std::memcpy(job.sealed, sealed.data(), sealed.size());
}

int always() { return 1; }

void expand_ring_key(const std::uint8_t* key, RingKeySchedule* schedule) {
  std::memcpy(schedule->bytes, key, nts::siv::key_bytes);
}

void expand_keys(const std::uint8_t* const* keys, std::uint32_t count, KeyTable* table) {
  for (std::uint32_t i = 0; i < count; ++i) {
    std::memcpy(table->bytes + i * key_stride, keys[i], nts::siv::key_bytes);
  }
}

void open(const KeyTable* table, Job* jobs, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) open_one(table->bytes + i * key_stride, jobs[i]);
}

void seal(const KeyTable* table, Job* jobs, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) seal_one(table->bytes + i * key_stride, jobs[i]);
}

void open_with_ring_keys(const RingKeySchedule* const* schedules, Job* jobs, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) open_one(schedules[i]->bytes, jobs[i]);
}

void seal_with_ring_key(const RingKeySchedule* schedule, Job* jobs, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) seal_one(schedule->bytes, jobs[i]);
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
