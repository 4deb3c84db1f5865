// The walk-through for a constant error of the pulses: what it says is right, and no surer than it can be.
#include "control/calibration.h"

#include <gtest/gtest.h>
#include <random>

namespace {

using control::Calibration;
using nlohmann::json;

json server(const char* host, const char* verdict, std::int64_t age_s, std::int64_t offset_ns,
            std::int64_t error_ns) {
  return {{"host", host},
          {"verdict", verdict},
          {"age_s", age_s},
          {"offset_ns", offset_ns},
          {"distance_ns", error_ns + 5'000'000},
          {"exact_distance_ns", error_ns}};
}

json report(std::vector<json> servers) { return {{"running", true}, {"upstreams", std::move(servers)}}; }

TEST(Calibration, AConstantDifferenceBecomesTheChangeOfTheDelay) {
  std::mt19937_64 random(1);
  std::normal_distribution<double> noise(0.0, 500.0);
  Calibration calibration;
  for (int i = 0; i < 200; ++i) {
    const auto offset_ns = static_cast<std::int64_t>(11'700.0 + noise(random));
    calibration.take(report({server("near", "leader", 0, offset_ns, 3'000)}));
    calibration.take(report({server("near", "leader", 1, offset_ns, 3'020)}));
  }
  const json result = calibration.result();
  EXPECT_NEAR(result["pulse_delay_change_ns"].get<double>(), 11'700.0, 150.0);
  EXPECT_GE(result["error_ns"].get<double>(), 3'000.0) << "half of the way is not taken out by any number";
  EXPECT_LE(result["error_ns"].get<double>(), 3'200.0);
  EXPECT_EQ(result["is_significant"], true);
  EXPECT_EQ(result["servers"][0]["samples"], 200);
  const std::string text = result["text"];
  EXPECT_NE(text.find("later"), std::string::npos) << text;
  EXPECT_NE(text.find("pulse_delay_ns by +117"), std::string::npos) << text;
}

TEST(Calibration, WhatIsSmallerThanItsUncertaintyChangesNothing) {
  Calibration calibration;
  for (int i = 0; i < 10; ++i)
    calibration.take(report({server("far", "member", i % 2, -400'000 - 100 * i, 9'000'000)}));
  const json result = calibration.result();
  EXPECT_EQ(result["is_significant"], false);
  const std::string text = result["text"];
  EXPECT_EQ(text.rfind("nothing to change", 0), 0U) << text;
}

TEST(Calibration, AMeasurementCountsOnceHoweverOftenItIsReported) {
  Calibration calibration;
  for (int round = 0; round < 5; ++round) {
    for (std::int64_t age_s = 0; age_s < 64; age_s += 2)
      calibration.take(report({server("one", "leader", age_s, 1000 + age_s, 50'000)}));
  }
  EXPECT_EQ(calibration.result()["servers"][0]["samples"], 5);
}

TEST(Calibration, TheBestServerSpeaksAndWhoContradictsTheMajorityDoesNot) {
  Calibration calibration;
  for (int i = 0; i < 8; ++i) {
    calibration.take(report({server("far", "leader", i % 2, 100'000 + i, 5'000'000),
                             server("near", "witness", i % 2, 7'000 + i, 2'000),
                             server("liar", "falseticker", i % 2, 5 + i, 10),
                             server("silent", "unusable", i % 2, 5 + i, 10)}));
  }
  const json result = calibration.result();
  ASSERT_EQ(result["servers"].size(), 2U);
  EXPECT_EQ(result["servers"][0]["host"], "near");
  EXPECT_EQ(result["servers"][1]["host"], "far");
  EXPECT_NEAR(result["pulse_delay_change_ns"].get<double>(), 7'003.0, 5.0);
  const std::string text = control::calibration_text(result);
  EXPECT_NE(text.find("near"), std::string::npos);
  EXPECT_NE(text.find("change [gnss] pulse_delay_ns"), std::string::npos) << text;
}

// A server may be off to one side while the way to it is busy, and says so: its best moment is no excuse.
TEST(Calibration, TheMeanIsNoSurerThanTheMeasurementsThatItIsMadeOf) {
  Calibration calibration;
  for (int i = 0; i < 100; ++i)
    calibration.take(report({server("busy", "leader", i % 2, 5'000'000 + i, 6'000'000)}));
  calibration.take(report({server("busy", "leader", 0, 0, 4'000'000)}));
  EXPECT_EQ(calibration.result()["is_significant"], false) << calibration.result()["text"];
}

TEST(Calibration, WhatWasMeasuredBeforeTheServerWasKnownWellCountsForLittle) {
  Calibration calibration;
  for (int i = 0; i < 8; ++i)
    calibration.take(report({server("near", "leader", i % 2, 900'000'000 + i, 2'000'000'000)}));
  for (int i = 0; i < 60; ++i)
    calibration.take(report({server("near", "leader", i % 2, 11'700 + i % 7, 3'000)}));
  const json result = calibration.result();
  EXPECT_NEAR(result["pulse_delay_change_ns"].get<double>(), 11'703.0, 300.0);
  EXPECT_LE(result["error_ns"].get<double>(), 3'500.0);
}

TEST(Calibration, TwoServersOfOneHostAreTwo) {
  Calibration calibration;
  for (int i = 0; i < 8; ++i) {
    calibration.take(report({server("host", "leader", i % 2, 7'000 + i, 2'000),
                             server("host", "member", i % 2, 9'000 + i, 4'000)}));
  }
  const json servers = calibration.result()["servers"];
  ASSERT_EQ(servers.size(), 2U);
  EXPECT_NEAR(servers[0]["offset_ns"].get<double>(), 7'003.0, 5.0);
  EXPECT_NEAR(servers[1]["offset_ns"].get<double>(), 9'003.0, 5.0);
}

TEST(Calibration, FewMeasurementsSayNothing) {
  Calibration calibration;
  EXPECT_TRUE(calibration.result()["pulse_delay_change_ns"].is_null());
  for (int i = 0; i < 3; ++i) calibration.take(report({server("near", "leader", 0, 7'000 + i, 20)}));
  EXPECT_TRUE(calibration.result()["pulse_delay_change_ns"].is_null());
  calibration.take(report({server("near", "leader", 0, 7'003, 20)}));
  EXPECT_EQ(calibration.result()["is_significant"], true);
}

TEST(Calibration, ReportsOfAnotherShapeTeachNothing) {
  Calibration calibration;
  for (const json& odd :
       {json(nullptr), json(3), json::array(), json{{"upstreams", 3}},
        report({json(3), json{{"host", 3}}, json{{"verdict", "leader"}, {"age_s", "x"}}})}) {
    calibration.take(odd);
  }
  EXPECT_TRUE(calibration.result()["servers"].empty());
  EXPECT_NE(control::calibration_text(json(3)), "");
}

TEST(Calibration, ThereIsSomethingToCalibrateOnlyWhileLockedToPulses) {
  EXPECT_NE(control::calibration_hindrance(json(nullptr)), "");
  EXPECT_NE(control::calibration_hindrance({{"state", "locked"}, {"gnss", nullptr}}), "");
  EXPECT_NE(control::calibration_hindrance({{"state", "holdover"}, {"gnss", json::object()}}), "");
  EXPECT_EQ(control::calibration_hindrance({{"state", "locked"}, {"gnss", json::object()}}), "");
}

}  // namespace
