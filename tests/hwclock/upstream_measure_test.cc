// From exchanges to what one server says at a tick.

#include "hwclock/upstream_measure.h"

#include <gtest/gtest.h>

namespace hwclock {
namespace {

constexpr double hz = 1e9;
constexpr std::int64_t utc_ns = 1'800'000'000'000'000'000;

// At `tick` ns, with so much delay out and back, of a server that is right.
UpstreamExchange exchange_at(std::uint64_t tick, std::int64_t out_ns, std::int64_t back_ns,
                             std::int64_t off_ns = 0) {
  UpstreamExchange exchange;
  exchange.sent_tick = tick;
  exchange.server_received_ns = utc_ns + static_cast<std::int64_t>(tick) + out_ns + off_ns;
  exchange.server_sent_ns = exchange.server_received_ns + 1'000;
  exchange.received_tick = tick + static_cast<std::uint64_t>(out_ns + 1'000 + back_ns);
  exchange.precision_ns = 100;
  exchange.root_delay_ns = 10;
  exchange.root_dispersion_ns = 20;
  return exchange;
}

TEST(UpstreamMeasure, TellsTheServersClockInTheMiddleOfTheExchange) {
  UpstreamMeasure measure;
  ASSERT_TRUE(measure.take(exchange_at(5'000'000'000, 40'000, 40'000), hz));
  const UpstreamNews& news = *measure.news();
  EXPECT_EQ(news.tick, 5'000'040'500U);
  EXPECT_EQ(news.utc_ns, utc_ns + 5'000'040'500);
  EXPECT_EQ(news.newest_tick, news.tick);
  EXPECT_EQ(news.delay_ns, 80'000U);
  EXPECT_EQ(news.root_delay_ns, 10U);
  EXPECT_EQ(news.root_dispersion_ns, 20U);
}

TEST(UpstreamMeasure, TheShortestRoundTripOfTheLastEightSpeaks) {
  UpstreamMeasure measure;
  std::uint64_t tick = 5'000'000'000;
  ASSERT_TRUE(measure.take(exchange_at(tick, 50'000, 50'000), hz));
  const std::uint64_t best = measure.news()->tick;
  for (int i = 0; i < 7; ++i)
    ASSERT_TRUE(measure.take(exchange_at(tick += 2'000'000'000, 900'000, 100'000), hz));
  EXPECT_EQ(measure.news()->tick, best);
  EXPECT_EQ(measure.news()->utc_ns, utc_ns + static_cast<std::int64_t>(best));
  EXPECT_GT(measure.news()->newest_tick, best);
  ASSERT_TRUE(measure.take(exchange_at(tick += 2'000'000'000, 40'000, 40'000), hz));
  EXPECT_EQ(measure.news()->tick, measure.news()->newest_tick);
}

TEST(UpstreamMeasure, RefusesWhatCannotHaveHappened) {
  UpstreamMeasure measure;
  UpstreamExchange backwards = exchange_at(5'000'000'000, 40'000, 40'000);
  backwards.received_tick = backwards.sent_tick - 1;
  EXPECT_FALSE(measure.take(backwards, hz));
  UpstreamExchange negative = exchange_at(5'000'000'000, 40'000, 40'000);
  negative.server_sent_ns = negative.server_received_ns - 1;
  EXPECT_FALSE(measure.take(negative, hz));
  EXPECT_FALSE(measure.take(exchange_at(5'000'000'000, 40'000, 40'000), 0.0));
  EXPECT_FALSE(measure.news());
}

TEST(UpstreamMeasure, AServerThatStepsIsNewAfterThreeAnswersAndNotAfterOne) {
  UpstreamMeasure measure;
  std::uint64_t tick = 5'000'000'000;
  for (int i = 0; i < 8; ++i)
    ASSERT_TRUE(measure.take(exchange_at(tick += 2'000'000'000, 40'000, 40'000), hz));
  const UpstreamNews before = *measure.news();
  EXPECT_FALSE(measure.take(exchange_at(tick += 2'000'000'000, 40'000, 40'000, 1'000'000'000), hz));
  EXPECT_EQ(measure.news()->utc_ns, before.utc_ns);
  ASSERT_TRUE(measure.take(exchange_at(tick += 2'000'000'000, 40'000, 40'000), hz)) << "it was an accident";
  for (int i = 0; i < 2; ++i)
    EXPECT_FALSE(measure.take(exchange_at(tick += 2'000'000'000, 40'000, 40'000, 1'000'000'000), hz));
  ASSERT_TRUE(measure.take(exchange_at(tick += 2'000'000'000, 40'000, 40'000, 1'000'000'000), hz));
  const UpstreamNews& news = *measure.news();
  EXPECT_EQ(news.utc_ns, utc_ns + static_cast<std::int64_t>(news.tick) + 1'000'000'000);
}

TEST(UpstreamMeasure, SamplesThatAgreeAreSteady) {
  UpstreamMeasure measure;
  std::uint64_t tick = 5'000'000'000;
  for (int i = 0; i < 4; ++i)
    ASSERT_TRUE(measure.take(exchange_at(tick += 2'000'000'000, 40'000, 40'000), hz));
  EXPECT_TRUE(measure.is_steady());
  ASSERT_TRUE(measure.take(exchange_at(tick += 2'000'000'000, 30'000, 30'000, 90'000'000), hz));
  EXPECT_TRUE(measure.is_steady()) << "within the jitter that it brought itself";
  ASSERT_TRUE(measure.take(exchange_at(tick += 2'000'000'000, 20'000, 20'000, -30'000'000), hz));
}

}  // namespace
}  // namespace hwclock
