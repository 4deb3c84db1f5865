#include "control/config_source.h"

#include <gmock/gmock.h>

#include "tests/control/scratch.h"

namespace control {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view good =
    "[server]\nname = 'time.example.net'\n[dataplane]\ndevices = ['af_packet:nm0']\n"
    "[nts_ke]\ncertificate = '/c'\nprivate_key = '/k'\n";

class ReloadTest : public testing::Test {
 protected:
  void write(std::string_view text) { tests::write_file(source_.file, std::string(text), 0644); }

  tests::Scratch scratch_;
  ConfigSource source_{scratch_.path() / "noonmark.toml", {}, scratch_.path() / "pages"};
  std::vector<std::string> taken_;
  Reload reload_{source_, [this](const Config& fresh) { taken_.push_back(fresh.server.name); }};
};

TEST_F(ReloadTest, ReadsOverlaysAndLetsThePagesOfTheCommandLineWin) {
  write(good);
  source_.overlays = {scratch_.path() / "over.toml"};
  tests::write_file(source_.overlays[0], std::string("[server]\nname = 'over.example.net'\n"), 0644);
  const Config config = source_.read();
  EXPECT_EQ(config.server.name, "over.example.net");
  EXPECT_EQ(config.paths.pages, scratch_.path() / "pages");
}

TEST_F(ReloadTest, F06_AFaultIsToldWithItsPlaceAndNothingIsTaken) {
  write(good);
  EXPECT_THAT(reload_.run(), IsEmpty());
  write("[server]\nname = 5\n");
  EXPECT_THAT(reload_.run(), HasSubstr(source_.file.native() + ":2:8: "));
  std::filesystem::remove(source_.file);
  EXPECT_THAT(reload_.run(), HasSubstr(source_.file.native()));
  EXPECT_THAT(taken_, testing::ElementsAre("time.example.net"));
}

TEST_F(ReloadTest, WhatTheRoleCannotTakeIsToldAsItSaysIt) {
  write(good);
  Reload refusing(source_, [](const Config&) { throw std::runtime_error("not this one; take another"); });
  EXPECT_EQ(refusing.run(), "not this one; take another");
}

}  // namespace
}  // namespace control
