#include "nts/ntp_time.h"

#include <gtest/gtest.h>
#include <random>

namespace {

using nts::NtpTime;

constexpr std::int64_t ns = 1'000'000'000;
constexpr std::int64_t era_1_utc_s = 2'085'978'496;  // 2036-02-07 06:28:16 UTC

TEST(NtpTimeConversion, TheUnixEpochIs2208988800SecondsAfter1900) {
  EXPECT_EQ(nts::ntp_from_utc_ns(0).units, std::uint64_t{2'208'988'800} << 32);
}

TEST(NtpTimeConversion, B07_WrapsAtTheEraBoundaryOf2036) {
  EXPECT_EQ(nts::ntp_from_utc_ns(era_1_utc_s * ns).units, 0U);
  EXPECT_EQ(nts::ntp_from_utc_ns(era_1_utc_s * ns - ns).units, std::uint64_t{0xffffffff} << 32);
  EXPECT_GT(
      nts::difference(nts::ntp_from_utc_ns(era_1_utc_s * ns + 1), nts::ntp_from_utc_ns(era_1_utc_s * ns - 1)),
      0);
}

TEST(NtpTimeConversion, ThereAndBackIsExactToTheNanosecondInEveryEra) {
  std::mt19937_64 random(1);
  std::uniform_int_distribution<std::int64_t> instant(-2'208'988'800 * ns, 6'000'000'000 * ns);
  std::uniform_int_distribution<std::int64_t> shift(-60LL * 365 * 86400 * ns, 60LL * 365 * 86400 * ns);
  for (int i = 0; i < 100'000; ++i) {
    const std::int64_t utc_ns = instant(random);
    const std::int64_t pivot_ns = utc_ns + shift(random);
    ASSERT_EQ(nts::utc_ns_from_ntp(nts::ntp_from_utc_ns(utc_ns), pivot_ns), utc_ns) << pivot_ns;
  }
}

TEST(NtpTimeConversion, P41_TheShortFormatIsNeverBelowTheValueAndSaturates) {
  EXPECT_EQ(nts::short_from_ns_rounded_up(-5), 0U);
  EXPECT_EQ(nts::short_from_ns_rounded_up(0), 0U);
  EXPECT_EQ(nts::short_from_ns_rounded_up(1), 1U);
  EXPECT_EQ(nts::short_from_ns_rounded_up(15'258), 1U);  // 2^-16 s is 15258.79 ns
  EXPECT_EQ(nts::short_from_ns_rounded_up(15'259), 2U);
  EXPECT_EQ(nts::short_from_ns_rounded_up(ns), 0x10000U);
  EXPECT_EQ(nts::short_from_ns_rounded_up(INT64_MAX), 0xffff0000U);
  std::mt19937_64 random(2);
  for (int i = 0; i < 100'000; ++i) {
    const auto value = static_cast<std::int64_t>(random() % (60'000ULL * ns));
    const auto back = static_cast<long double>(nts::short_from_ns_rounded_up(value)) / 65536 * 1e9L;
    ASSERT_GE(back, static_cast<long double>(value));
    ASSERT_LT(back - static_cast<long double>(value), 15'260.0L);
  }
}

}  // namespace
