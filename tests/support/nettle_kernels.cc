#include "tests/support/nettle_kernels.h"

#include <algorithm>

#include <nettle/nettle-meta.h>
#include <nettle/siv-cmac.h>

namespace tests {
namespace {

using nts::siv::Job;
using nts::siv::KeyTable;
using nts::siv::RingKeySchedule;
using nts::siv::tag_bytes;

int always() { return 1; }

// nettle names AES-SIV for AES-128 and AES-256; this is what stands behind both names, and AES-192 with them.
template <class Aes, const nettle_cipher& cipher>
struct Siv {
  struct Context {
    cmac128_key subkeys;
    Aes mac, ctr;
  };
  // An expanded key lies where a tier of ours would put its own.
  static constexpr std::size_t key_stride = sizeof(KeyTable) / nts::siv::key_table_keys_max;
  static_assert(sizeof(Context) <= key_stride && sizeof(Context) <= sizeof(RingKeySchedule));

  static const Context& context_of(const KeyTable* table, std::uint32_t key) {
    return *reinterpret_cast<const Context*>(table->bytes + key * key_stride);
  }
  static const Context& context_of(const RingKeySchedule* schedule) {
    return *reinterpret_cast<const Context*>(schedule->bytes);
  }
  static void set_key(std::uint8_t* place, const std::uint8_t* key) {
    auto* context = reinterpret_cast<Context*>(place);
    siv_cmac_set_key(&context->subkeys, &context->mac, &context->ctr, &cipher, key);
  }

  // nettle makes and checks the tag over the plaintext it reads or has written, so text in place is right.
  static void open_one(const Context& context, Job& job) {
    job.authentic = static_cast<std::uint32_t>(
        siv_cmac_decrypt_message(&context.subkeys, &context.mac, &cipher, &context.ctr, job.nonce_bytes,
                                 job.nonce, job.associated_data_bytes, job.associated_data,
                                 job.plaintext_bytes, job.plaintext, job.sealed));
    if (job.authentic == 0) std::fill_n(job.plaintext, job.plaintext_bytes, std::uint8_t{0});
  }
  static void seal_one(const Context& context, Job& job) {
    siv_cmac_encrypt_message(&context.subkeys, &context.mac, &cipher, &context.ctr, job.nonce_bytes,
                             job.nonce, job.associated_data_bytes, job.associated_data,
                             job.plaintext_bytes + tag_bytes, job.sealed, job.plaintext);
  }

  static void expand_ring_key(const std::uint8_t* key, RingKeySchedule* schedule) {
    set_key(schedule->bytes, key);
  }
  static void expand_keys(const std::uint8_t* const* keys, std::uint32_t count, KeyTable* table) {
    for (std::uint32_t i = 0; i < count; ++i) set_key(table->bytes + i * key_stride, keys[i]);
  }
  static void open(const KeyTable* table, Job* jobs, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) open_one(context_of(table, i), jobs[i]);
  }
  static void seal(const KeyTable* table, Job* jobs, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) seal_one(context_of(table, i), jobs[i]);
  }
  static void open_with_ring_keys(const RingKeySchedule* const* schedules, Job* jobs, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) open_one(context_of(schedules[i]), jobs[i]);
  }
  static void seal_with_ring_key(const RingKeySchedule* schedule, Job* jobs, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) seal_one(context_of(schedule), jobs[i]);
  }
  static std::uint32_t open_cookies(const RingKeySchedule* const* schedules, Job* jobs, std::uint32_t count,
                                    nts::siv::CookieMac*) {
    open_with_ring_keys(schedules, jobs, count);
    return 0;
  }
  static void seal_cookies(const RingKeySchedule* schedule, Job* jobs, std::uint32_t count,
                           const nts::siv::CookieMac*) {
    seal_with_ring_key(schedule, jobs, count);
  }

  static constexpr nts::siv::Kernels kernels(std::uint32_t key_bytes) {
    return {"nettle",
            "whatever nettle finds",
            1,
            key_bytes,
            always,
            expand_ring_key,
            expand_keys,
            expand_keys,
            open,
            seal,
            open_with_ring_keys,
            seal_with_ring_key,
            open_cookies,
            seal_cookies};
  }
};

constexpr nts::siv::Kernels kernels_256 =
    Siv<aes128_ctx, nettle_aes128>::kernels(nts::siv::key_bytes_256);
constexpr nts::siv::Kernels kernels_384 =
    Siv<aes192_ctx, nettle_aes192>::kernels(nts::siv::key_bytes_384);
constexpr nts::siv::Kernels kernels_512 =
    Siv<aes256_ctx, nettle_aes256>::kernels(nts::siv::key_bytes_512);

}  // namespace

const nts::siv::Kernels& nettle_kernels(std::size_t key_bytes) noexcept {
  if (key_bytes == nts::siv::key_bytes_384) return kernels_384;
  return key_bytes == nts::siv::key_bytes_512 ? kernels_512 : kernels_256;
}

}  // namespace tests
