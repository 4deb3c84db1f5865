// The tiers that valgrind cannot run, as the only ones there are: watched_tiers.cc with these and nothing
// else is what wide_tiers_test.py builds with MemorySanitizer. It says which they are, as it finds their
// files: WIDE_SIV_256 is TIER(name) TIER(name), and so are those of the longer keys and of AES-GCM-SIV.
#include <iterator>

#include "nts/gcm_siv/gcm_siv.h"
#include "nts/siv/siv.h"

// It does not know what a list of TIER(name) comes to.
// clang-format off

namespace nts::siv {

#define TIER(name) extern const Kernels name;
WIDE_SIV_256 WIDE_SIV_384 WIDE_SIV_512
#undef TIER

// With an end of its own each, for of some lengths there is none.
#define TIER(name) &name,
static constexpr const Kernels* tiers_256[] = {WIDE_SIV_256 nullptr};
static constexpr const Kernels* tiers_384[] = {WIDE_SIV_384 nullptr};
static constexpr const Kernels* tiers_512[] = {WIDE_SIV_512 nullptr};
#undef TIER

std::span<const Kernels* const> all_tiers(std::uint32_t bytes_of_key) noexcept {
  std::span<const Kernels* const> tiers(tiers_256);
  if (bytes_of_key == key_bytes_384) tiers = tiers_384;
  if (bytes_of_key == key_bytes_512) tiers = tiers_512;
  return tiers.first(tiers.size() - 1);
}

}  // namespace nts::siv

namespace nts::gcm_siv {

#define TIER(name) extern const Kernels name;
WIDE_GCM_SIV
#undef TIER

#define TIER(name) &name,
static constexpr const Kernels* tiers[] = {WIDE_GCM_SIV nullptr};
#undef TIER

std::span<const Kernels* const> all_tiers() noexcept {
  return std::span<const Kernels* const>(tiers).first(std::size(tiers) - 1);
}

}  // namespace nts::gcm_siv
