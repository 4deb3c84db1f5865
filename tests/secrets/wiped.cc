// K14: what is left of keys when a secret or a client is done with them (of a server: wiped_server.cc).
// wiped_test.py builds this and the packet core with several compilers, each of which may find a store dead
// that nobody reads.
//
//   wiped           exits 0 when no key is left anywhere, 1 when one is, and says where
//   wiped PLANTED   leaves one on purpose: "stack" or "heap"
#include <memory>
#include <string_view>

#include "nts/client.h"
#include "nts/secret.h"
#include "nts/siv/siv.h"
#include "tests/secrets/counting_random.h"
#include "tests/secrets/left_behind.h"

namespace {

using secrets::clean_stack;
using secrets::far_down;
using secrets::left_on_stack;
using secrets::make;
using secrets::Whose;

constexpr std::size_t key_bytes = 32;
using Key = std::array<std::uint8_t, key_bytes>;

volatile std::uint8_t sink;

[[gnu::noinline]] void use_a_secret() {
  nts::Secret<key_bytes> secret;
  make(Whose::secret, secret.bytes().data(), key_bytes);
  for (const std::uint8_t octet : secret.bytes()) sink = static_cast<std::uint8_t>(sink + octet);
}
[[gnu::noinline]] void leave_on_stack() {
  std::uint8_t key[key_bytes];
  make(Whose::secret, key, key_bytes);
  __asm__ __volatile__("" : : "r"(key) : "memory");
  for (const std::uint8_t octet : key) sink = static_cast<std::uint8_t>(sink + octet);
}
[[gnu::noinline]] void use_secrets_on_heap(bool leaves_one) {
  const auto secret = std::make_unique<nts::Secret<key_bytes>>();
  make(Whose::secret, secret->bytes().data(), key_bytes);
  const auto key = std::make_unique<Key>();
  if (leaves_one) make(Whose::secret, key->data(), key_bytes);
  sink = (*key)[0];
}

// One request of a client, under a session's keys; true when it was made.
[[gnu::noinline]] bool ask_one(const nts::AeadKernels& kernels, nts::AeadRow aead) {
  const auto session = std::make_unique<nts::ClientSession>();
  session->aead = aead;
  make(Whose::c2s, session->c2s.bytes().data(), nts::aead_at(aead).key_bytes);
  make(Whose::s2c, session->s2c.bytes().data(), nts::aead_at(aead).key_bytes);
  const std::array<std::uint8_t, 100> cookie{1};
  secrets::CountingRandom random;
  return session->cookies.add(cookie) && nts::make_nts_request(*session, kernels, random).bytes != 0;
}

}  // namespace

int main(int count, char** words) {
  const std::string_view planted = count == 2 ? words[1] : "";
  secrets::looks_at_heap = true;
  std::size_t left = 0;
  clean_stack();
  far_down(use_a_secret);
  if (planted == "stack") far_down(leave_on_stack);
  left += left_on_stack("the stack behind a secret");
  use_secrets_on_heap(planted == "heap");
  for (const nts::siv::Kernels* tier : nts::siv::all_tiers()) {
    if (tier->cpu_can_run() == 0) {
      std::printf("not run: %s\n", tier->name);
      continue;
    }
    for (std::uint32_t row = 0; row < nts::aeads_count; ++row) {
      const auto aead = static_cast<nts::AeadRow>(row);
      const nts::AeadKernels kernels = nts::all_kernels_beside(*tier);
      clean_stack();
      bool is_made = false;
      far_down([&] { is_made = ask_one(kernels, aead); });
      if (!is_made) {
        std::printf("%s makes no request\n", tier->name);
        return 2;
      }
      left += left_on_stack("the stack behind a client's request");
    }
  }
  return left + secrets::left_on_heap == 0 ? 0 : 1;
}
