// What NTS-KE gives a client, however the load generator came by it: two keys of AEAD_AES_SIV_CMAC_256 and
// cookies of one length.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "nts/key_ring.h"
#include "nts/random.h"
#include "nts/siv/siv.h"

namespace bench::load {

class SessionError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Session {
  std::array<std::uint8_t, nts::siv::key_bytes> c2s{};
  std::array<std::uint8_t, nts::siv::key_bytes> s2c{};
  std::vector<std::vector<std::uint8_t>> cookies;  // at least one, all of one length
};

// A session as the keeper would grant it under the ring's current key, with `cookies` cookies.
[[nodiscard]] Session session_under(const nts::KeyRing& ring, const nts::siv::Kernels& tier,
                                    nts::RandomSource& random, std::size_t cookies = 8);

// A file of lines "c2s HEX", "s2c HEX" and "cookie HEX" (one or more). It holds keys: written 0600, and
// refused when others may read it. Both throw SessionError.
[[nodiscard]] Session read_session(const std::filesystem::path& file);
void write_session(const std::filesystem::path& file, const Session& session);

// One NTS-KE exchange with `host`; `ca_file` empty: the system's roots. Throws what control/ke_client.h
// throws.
[[nodiscard]] Session agree_with(const std::string& host, std::uint16_t port, const std::string& ca_file);

}  // namespace bench::load
