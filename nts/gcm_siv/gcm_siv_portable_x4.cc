// AES-GCM-SIV for four packets side by side on any CPU, on the bitsliced cipher of nts/siv. No branch and no
// address depends on a secret; products in POLYVAL's field are taken bit by bit.

#include "nts/gcm_siv/lanes.h"
#include "nts/siv/portable_lane.h"

namespace nts::gcm_siv {
namespace {

struct FourLanes : siv::PortableLane {
  static constexpr bool has_narrower = false;
  using Product = Block;  // reduced as it is made

  static Block load_row(const uint8_t* row) {
    return gather([row](uint32_t i) { return row + i * block_bytes; });
  }
  static void store_row(uint8_t* row, const Block& block) {
    scatter([row](uint32_t i) { return row + i * block_bytes; }, block);
  }
  template <class From>
  static Block gather(const From& from) {
    return PortableLane::gather(from, 0);
  }
  template <class To>
  static void scatter(const To& to, const Block& block) {
    PortableLane::scatter(to, 0, block);
  }

  static Block low_halves(const Block& a, const Block& b) {
    Block out;
    for (uint32_t i = 0; i < width; ++i) out.lane[i] = {a.lane[i].low, b.lane[i].low};
    return out;
  }
  static Block counted(const Block& a, uint32_t number) {
    Block out = a;
    for (uint32_t i = 0; i < width; ++i) {
      const uint64_t low = a.lane[i].low;
      out.lane[i].low = (low & 0xffffffff00000000ULL) | static_cast<uint32_t>(low + number);
    }
    return out;
  }
  static Block without_top_bit(const Block& a) {
    Block out = a;
    for (uint32_t i = 0; i < width; ++i) out.lane[i].high &= ~uint64_t{0} >> 1;
    return out;
  }
  static Block with_top_bit(const Block& a) {
    Block out = a;
    for (uint32_t i = 0; i < width; ++i) out.lane[i].high |= uint64_t{1} << 63;
    return out;
  }

  // a * b * x^-128 (RFC 8452 section 3): bit i of `a` adds b, which is then divided by x as often as 128 - i.
  // Dividing is a shift down; a one that falls out comes back as x^-1 = x^127 + x^126 + x^125 + x^120.
  static Product product(const Block& a, const Block& b) {
    Block out;
    for (uint32_t i = 0; i < width; ++i) {
      uint64_t low = 0, high = 0;
      for (uint32_t bit = 0; bit < 128; ++bit) {
        const uint64_t word = bit < 64 ? a.lane[i].low : a.lane[i].high;
        const uint64_t taken = uint64_t{0} - (word >> (bit % 64) & 1);
        low ^= b.lane[i].low & taken;
        high ^= b.lane[i].high & taken;
        const uint64_t fallen = uint64_t{0} - (low & 1);
        low = low >> 1 | high << 63;
        high = high >> 1 ^ (fallen & 0xe100000000000000ULL);
      }
      out.lane[i] = {low, high};
    }
    return out;
  }
  static Block folded(const Block& a, const Block& b, const Block& c, const Block& d) {
    return both(product(a, b), product(c, d));
  }
  static Block moved_down(const Block& a, uint32_t by) {
    const uint32_t places[1] = {by};
    return PortableLane::moved_down(a, places);
  }
  static Block moved_up(const Block& a, uint32_t by) {
    const uint32_t places[1] = {by};
    return PortableLane::moved_up(a, places);
  }
  static const Block& reduced(const Product& product) { return product; }
};

int cpu_can_run() { return 1; }

}  // namespace

extern const Kernels gcm_siv_portable_x4;
const Kernels gcm_siv_portable_x4 =
    make_kernels<FourLanes>("gcm_siv_portable_x4", "none beyond the baseline", cpu_can_run);

}  // namespace nts::gcm_siv
