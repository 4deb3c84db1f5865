// The tiers that valgrind cannot run, as the only ones there are: watched_tiers.cc with these and nothing
// else is what wide_tiers_test.py builds with MemorySanitizer.
#include <array>

#include "nts/gcm_siv/gcm_siv.h"
#include "nts/siv/siv.h"

namespace nts::siv {

extern const Kernels vaes512_x16;
extern const Kernels vaes256_x8;

std::span<const Kernels* const> all_tiers(std::uint32_t bytes_of_key) noexcept {
  static constexpr std::array wide{&vaes512_x16, &vaes256_x8};
  return bytes_of_key == key_bytes_256 ? std::span<const Kernels* const>(wide)
                                       : std::span<const Kernels* const>{};
}

}  // namespace nts::siv

namespace nts::gcm_siv {

extern const Kernels gcm_siv_vaes512_x16;
extern const Kernels gcm_siv_vaes256_x8;

std::span<const Kernels* const> all_tiers() noexcept {
  static constexpr std::array wide{&gcm_siv_vaes512_x16, &gcm_siv_vaes256_x8};
  return wide;
}

}  // namespace nts::gcm_siv
