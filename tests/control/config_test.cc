// Rows F01-F05 of the catalogue: what the parser must take, and what it must refuse with a place and a
// remedy.

#include "control/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nts/siv/siv.h"
#include "tests/control/config_text.h"

namespace control {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;
using tests::dataplane;
using tests::error_of;
using tests::nts_ke;
using tests::server;
using tests::whole;
using tests::with;

TEST(ParseConfig, A04_TakesVlanIdsOrTheWordAnyAndRefusesTheRest) {
  const auto vlans = [](const std::string& value) {
    return parse_config(with("dataplane", "vlans = " + value), "t.toml").dataplane.vlans;
  };
  EXPECT_THAT(vlans("'any'"), testing::IsEmpty());
  EXPECT_THAT(vlans("[0]"), testing::ElementsAre(0));
  EXPECT_THAT(vlans("[4094, 1]"), testing::ElementsAre(4094, 1));
  std::string longest = "[0";
  for (int id = 1; id < 64; ++id) longest += ", " + std::to_string(id);
  EXPECT_EQ(vlans(longest + "]").size(), 64U);
  for (const std::string& bad : {std::string("[]"), std::string("[4095]"), std::string("[-1]"),
                                 std::string("[7, 7]"), std::string("'all'"), std::string("7"),
                                 std::string("['7']"), std::string("[1.0]"), longest + ", 64]"}) {
    EXPECT_THAT(error_of(with("dataplane", "vlans = " + bad)), HasSubstr("[dataplane] vlans")) << bad;
  }
}

TEST(ParseConfig, F05_AListOfAHundredThousandAddressesIsRefusedForItsLength) {
  std::string list = "addresses = [";
  for (int i = 0; i < 100'000; ++i) {
    list += "'10." + std::to_string(i >> 16 & 255) + "." + std::to_string(i >> 8 & 255) + "." +
            std::to_string(i & 255) + "/8', ";
  }
  EXPECT_THAT(error_of(with("server", list + "]")), HasSubstr("[server] addresses: it has 100000 elements"));
}

TEST(ParseConfig, TakesAReplyGatewayForADeviceThatThereIs) {
  const auto error = [](const std::string& value) {
    return error_of(with("dataplane", "reply_gateways = " + value));
  };
  EXPECT_EQ(error("[]"), "");
  EXPECT_EQ(error("['af_packet:eth0=02:00:00:00:00:09']"), "");
  EXPECT_EQ(error("['af_packet:eth0=fE:dc:BA:98:76:54']"), "");
  for (const char* bad : {"'af_packet:eth0=02:00:00:00:00:09'", "['af_packet:eth0']",
                          "['=02:00:00:00:00:09']", "['af_packet:eth0=02:00:00:00:00']",
                          "['af_packet:eth0=02:00:00:00:00:09:0a']", "['af_packet:eth0=02:00:00:00:00:9']",
                          "['af_packet:eth0=02-00-00-00-00-09']", "['af_packet:eth0=02:00:00:00:00:0g']",
                          "['af_packet:eth0=02:00:00:00:00:-9']", "['af_packet:eth0=00:00:00:00:00:00']",
                          "['af_packet:eth0=03:00:00:00:00:09']", "['af_packet:eth0=ff:ff:ff:ff:ff:ff']",
                          "['eth0=02:00:00:00:00:09']", "['af_packet:eth1=02:00:00:00:00:09']",
                          "['af_packet:eth0=02:00:00:00:00:09', 'af_packet:eth0=02:00:00:00:00:0a']"}) {
    EXPECT_THAT(error(bad), HasSubstr("[dataplane] reply_gateways")) << bad;
  }
}

TEST(ParseConfig, TakesTheShortestFileAndGivesTheDefaults) {
  const Config config = parse_config(whole, "t.toml");
  EXPECT_EQ(config.server.name, "time.example.net");
  EXPECT_TRUE(config.server.addresses_automatic);
  EXPECT_EQ(config.server.ntp_port, 123);
  EXPECT_EQ(config.nts_ke.port, 4460);
  EXPECT_EQ(config.keys.retention_s, 14U * 86400U);
  EXPECT_FALSE(config.clock.unauthenticated_date);
  EXPECT_EQ(config.paths.pages, "/run/noonmark");
}

TEST(ParseConfig, ReadsEveryOption) {
  const Config config = parse_config(
      "[server]\nname = 'a.example'\naddresses = ['192.0.2.1/24', '2001:db8::1/64']\nntp_port = 4123\n"
      "answer_plain = false\nanswer_nts = true\n"
      "[dataplane]\ndevices = ['vdev:net_null0', 'af_packet:nm-srv']\ncores = [0, 1]\nmemory = 'ordinary'\n"
      "siv_tier = 'portable_x4'\ndeparture_ns = 7000\n"
      "[nts_ke]\nlisten = ['::1']\nport = 4443\ncertificate = '/c'\nprivate_key = '/k'\nntp_server = "
      "'192.0.2.9'\n"
      "ntp_servers_ours = ['b.example', '2001:db8::2']\nworkers = 2\nconnections_max = 10\n"
      "aeads = [15, 30]\ngcm_siv_export = 'strict'\n"
      "connections_per_source_max = 5\nphase_deadline_ms = 500\ndeadline_ms = 1000\n"
      "[keys]\nfile = '/k/keys'\nretention_s = 3600\n"
      "[clock]\nsource = 'local'\nstratum = 3\nreference_id = 'LAB1'\nholdover_max_error_us = 500\ndrift_ppb "
      "= 100\n"
      "[paths]\npages = '/dev/shm/x'\n",
      "t.toml");
  EXPECT_FALSE(config.server.addresses_automatic);
  ASSERT_EQ(config.server.addresses.size(), 2U);
  EXPECT_EQ(config.server.addresses[0].family, 4);
  EXPECT_EQ(config.server.addresses[0].prefix_bits, 24);
  EXPECT_EQ(config.server.addresses[0].octets[0], 192);
  EXPECT_EQ(config.server.addresses[0].octets[3], 1);  // host bits are what an interface address is about
  EXPECT_EQ(config.server.addresses[1].family, 6);
  EXPECT_EQ(config.server.addresses[1].octets[15], 1);
  EXPECT_EQ(config.server.ntp_port, 4123);
  EXPECT_FALSE(config.server.answer_plain);
  EXPECT_EQ(config.dataplane.devices, (std::vector<std::string>{"vdev:net_null0", "af_packet:nm-srv"}));
  EXPECT_EQ(config.dataplane.cores, (std::vector<std::uint32_t>{0, 1}));
  EXPECT_EQ(config.dataplane.memory, shm::Memory::ordinary);
  EXPECT_EQ(config.dataplane.siv_tier, "portable_x4");
  EXPECT_EQ(config.dataplane.departure_ns, 7000U);
  EXPECT_EQ(config.nts_ke.listen, std::vector<std::string>{"::1"});
  EXPECT_EQ(config.nts_ke.port, 4443);
  EXPECT_EQ(config.nts_ke.certificate, "/c");
  EXPECT_EQ(config.nts_ke.private_key, "/k");
  EXPECT_EQ(config.nts_ke.ntp_server, "192.0.2.9");
  EXPECT_EQ(config.nts_ke.ntp_servers_ours.size(), 2U);
  EXPECT_EQ(config.nts_ke.workers, 2U);
  EXPECT_EQ(config.nts_ke.connections_max, 10U);
  EXPECT_EQ(config.nts_ke.aeads, (std::vector<std::uint16_t>{15, 30}));
  EXPECT_EQ(config.nts_ke.gcm_siv_export, control::GcmSivExport::strict);
  EXPECT_EQ(config.nts_ke.connections_per_source_max, 5U);
  EXPECT_EQ(config.nts_ke.phase_deadline_ms, 500U);
  EXPECT_EQ(config.nts_ke.deadline_ms, 1000U);
  EXPECT_EQ(config.keys.file, "/k/keys");
  EXPECT_EQ(config.keys.retention_s, 3600U);
  EXPECT_EQ(config.clock.source, ClockSource::local);
  EXPECT_EQ(config.clock.stratum, 3U);
  EXPECT_EQ(config.clock.reference_id, "LAB1");
  EXPECT_EQ(config.clock.holdover_max_error_us, 500U);
  EXPECT_EQ(config.clock.drift_ppb, 100U);
  EXPECT_EQ(config.paths.pages, "/dev/shm/x");
}

TEST(ParseConfig, ReadsUpstreamsInTheirOrderAndGivesTheDefaults) {
  const Config config =
      parse_config(whole +
                       "[clock]\nsource = 'upstream'\nupstream_max_error_us = 5000\nupstream_quorum = 3\n"
                       "unauthenticated_date = true\n"
                       "[[upstream]]\nhost = 'u.example.net'\n"
                       "[[upstream]]\nhost = '192.0.2.1'\nport = 4461\nnts = true\nca = '/ca.pem'\nminpoll = "
                       "2\nmaxpoll = 4\n"
                       "iburst = false\ntrust = 'witness'\n"
                       "[[upstream]]\nhost = '2001:db8::1'\nminpoll = 12\n"
                       "[[upstream]]\nhost = '2001:db8::2'\nmaxpoll = 3\n",
                   "t.toml");
  EXPECT_EQ(config.clock.source, ClockSource::upstream);
  EXPECT_EQ(config.clock.upstream_max_error_us, 5000U);
  EXPECT_EQ(config.clock.upstream_quorum, 3U);
  EXPECT_TRUE(config.clock.unauthenticated_date);
  ASSERT_EQ(config.upstreams.size(), 4U);
  const Upstream& usual = config.upstreams[0];
  EXPECT_EQ(usual.host, "u.example.net");
  EXPECT_EQ(usual.port, 0);
  EXPECT_FALSE(usual.nts);
  EXPECT_EQ(usual.minpoll, 6U);
  EXPECT_EQ(usual.maxpoll, 10U);
  EXPECT_TRUE(usual.iburst);
  EXPECT_EQ(usual.trust, UpstreamTrust::fallback);
  const Upstream& other = config.upstreams[1];
  EXPECT_EQ(other.port, 4461);
  EXPECT_TRUE(other.nts);
  EXPECT_EQ(other.ca, "/ca.pem");
  EXPECT_EQ(other.minpoll, 2U);
  EXPECT_EQ(other.maxpoll, 4U);
  EXPECT_FALSE(other.iburst);
  EXPECT_EQ(other.trust, UpstreamTrust::witness);
  EXPECT_EQ(config.upstreams[2].maxpoll, 12U) << "who writes one of the two means that one";
  EXPECT_EQ(config.upstreams[3].minpoll, 3U);
}

TEST(ParseConfig, RefusesUpstreamsThatCannotBeMeant) {
  const auto error = [](const std::string& lines) { return error_of(whole + lines); };
  const std::string one = "[[upstream]]\nhost = 'u.example.net'\n";
  EXPECT_EQ(error(one), "");
  EXPECT_THAT(error("[upstream]\nhost = 'u'\n"), HasSubstr("write [[upstream]] on a line of its own"));
  EXPECT_THAT(error("[[upstream]]\nnts = true\n"), HasSubstr("[[upstream]] host is missing"));
  EXPECT_THAT(error(one + one), HasSubstr("stands there twice"));
  const auto both = [&](const std::string& first, const std::string& second) {
    return error("[[upstream]]\n" + first + "\n[[upstream]]\n" + second + "\n");
  };
  EXPECT_THAT(both("host = 'u.example.net'", "host = 'u.example.net'\nport = 123"), HasSubstr("there twice"));
  EXPECT_THAT(both("host = 'u.example.net'\nnts = true\nport = 4460", "host = 'u.example.net'\nnts = true"),
              HasSubstr("there twice"));
  EXPECT_THAT(both("host = 'U.Example.net'", "host = 'u.example.NET'"),
              HasSubstr("\"u.example.NET\" stands there twice, once as \"U.Example.net\""));
  EXPECT_THAT(both("host = 'u.example.net.'", "host = 'u.example.net'"), HasSubstr("there twice"));
  EXPECT_THAT(both("host = '2001:db8::1'", "host = '2001:DB8:0:0::1'"), HasSubstr("there twice"));
  EXPECT_THAT(both("host = '::ffff:192.0.2.1'", "host = '192.0.2.1'"), HasSubstr("there twice"));
  EXPECT_EQ(both("host = '192.0.2.1'", "host = '192.0.2.1'\nport = 124"), "");
  EXPECT_EQ(both("host = '192.0.2.1'", "host = '192.0.2.1'\nnts = true"), "");
  for (const char* odd : {"127.1", "010.0.0.1", "0x7f.1", "2130706433", "192.0.2.1."})
    EXPECT_THAT(error("[[upstream]]\nhost = '" + std::string(odd) + "'\n"),
                HasSubstr("neither a host name nor"))
        << odd;
  for (const char* of_many : {"0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1", "::ffff:224.0.0.1"})
    EXPECT_THAT(error("[[upstream]]\nhost = '" + std::string(of_many) + "'\n"),
                HasSubstr("cannot be the address of one machine"))
        << of_many;
  EXPECT_THAT(error(one + "minpoll = 7\nmaxpoll = 6\n"), HasSubstr("minpoll is larger than maxpoll"));
  EXPECT_THAT(error(one + "maxpoll = 18\n"), HasSubstr("[[upstream]] maxpoll"));
  EXPECT_THAT(error(one + "ca = '/ca.pem'\n"), HasSubstr("asked without NTS"));
  EXPECT_THAT(error(one + "trust = 'all'\n"), HasSubstr("choose one of \"witness\", \"fallback\""));
  EXPECT_THAT(error(one + "prefer = true\n"),
              HasSubstr("[[upstream]] prefer is not an option; there are only ca"));
  EXPECT_THAT(error("[clock]\nsource = 'upstream'\n"), HasSubstr("no [[upstream]] may give the time"));
  EXPECT_THAT(error("[clock]\nsource = 'upstream'\n" + one + "trust = 'witness'\n"),
              HasSubstr("no [[upstream]] may give the time"));
  std::string many;
  for (int i = 0; i < 17; ++i) many += "[[upstream]]\nhost = 'u" + std::to_string(i) + ".example.net'\n";
  EXPECT_THAT(error(many), HasSubstr("there are 17 [[upstream]] sections"));
}

TEST(ParseConfig, F01_RefusesWhatIsNoPlainText) {
  EXPECT_THAT(error_of(""), StartsWith("t.toml:1:1: the file is empty; "));
  EXPECT_THAT(error_of("\xef\xbb\xbf" + whole),
              StartsWith("t.toml:1:1: the file starts with a byte order mark; "));
  EXPECT_THAT(error_of(server + std::string("ntp_port\0 = 1\n", 14)),
              StartsWith("t.toml:3:9: there is a NUL octet; "));
  EXPECT_THAT(error_of("[server]\r\nname = 'a'\r\n"), StartsWith("t.toml:1:9: there is a carriage return; "));
  EXPECT_THAT(error_of(whole.substr(0, whole.size() - 1)),
              StartsWith("t.toml:7:23: the last line has no end"));
  EXPECT_EQ(error_of(whole), "");
}

TEST(ParseConfig, F01_RefusesBrokenTomlWithOneLineAndThePlace) {
  EXPECT_THAT(error_of("[server\nname = 1\n"), StartsWith("t.toml:1:"));
  EXPECT_THAT(error_of("[server]\nname = \"a\n\"\n"), StartsWith("t.toml:2:"));
  EXPECT_THAT(error_of("[server]\nname = 'x' y\n"),
              MatchesRegex("t.toml:2:[0-9]+: [^\n]+; correct this line"));
  EXPECT_THAT(error_of("\xff\xfe\n"), StartsWith("t.toml:1:"));
}

TEST(ParseConfig, F02_NamesUnknownDuplicateAndMiscasedKeys) {
  EXPECT_THAT(error_of(with("server", "nmae = 'x'")),
              StartsWith("t.toml:2:1: [server] nmae is not an option; there are only name"));
  EXPECT_THAT(error_of(with("server", "Answer_NTS = true")),
              testing::Eq("t.toml:2:1: [server] Answer_NTS is not an option; write it as answer_nts"));
  EXPECT_THAT(error_of(with("server", "name = 'x'")), MatchesRegex("t.toml:[0-9]+:[0-9]+: .*name.*"));
  EXPECT_THAT(error_of(whole + server), MatchesRegex("t.toml:[0-9]+:[0-9]+: .*server.*"));
  EXPECT_THAT(error_of(whole + "[Paths]\n"), HasSubstr("[Paths] is not a section; write it as paths"));
  EXPECT_THAT(error_of("x = 1\n" + whole),
              StartsWith("t.toml:1:1: [x] is not a section; there are only server"));
  EXPECT_THAT(error_of("server = 1\n" + dataplane), StartsWith("t.toml:1:10: server is a section; "));
  EXPECT_THAT(error_of(whole + "[[clock]]\nsource = 'local'\n"), HasSubstr("clock is a section"));
}

TEST(ParseConfig, F02_RefusesEachWrongType) {
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"server", "answer_plain = 1"},   {"server", "answer_plain = 'true'"},
      {"server", "ntp_port = '123'"},   {"server", "ntp_port = 123.0"},
      {"server", "ntp_port = true"},    {"server", "ntp_port = 2026-01-01"},
      {"server", "ntp_port = []"},      {"server", "addresses = '192.0.2.1/24'"},
      {"server", "addresses = [1]"},    {"server", "addresses = {a = 1}"},
      {"server", "addresses = []"},     {"dataplane", "cores = 1"},
      {"dataplane", "cores = ['1']"},   {"dataplane", "memory = 1"},
      {"dataplane", "memory = 'Auto'"}, {"nts_ke", "listen = '0.0.0.0'"},
      {"nts_ke", "ntp_server = 1"},     {"keys", "file = 1"},
      {"clock", "source = 'gps'"},      {"clock", "source = ''"},
      {"paths", "pages = ['/x']"},      {"paths", "pages = true"},
  };
  for (const auto& [section, line] : wrong) {
    SCOPED_TRACE(line);
    const std::string key = "[" + section + "] " + line.substr(0, line.find(' '));
    EXPECT_THAT(error_of(with(section, line)), MatchesRegex("t.toml:[0-9]+:[0-9]+: .*; .*"));
    EXPECT_THAT(error_of(with(section, line)), HasSubstr(key));
  }
}

struct Number {
  std::string section, key;
  std::int64_t lowest, highest;
  std::string before = "", after = "";
};

TEST(ParseConfig, F03_RefusesEachNumberOutsideItsRangeAndTakesItsEdges) {
  const std::vector<Number> numbers = {
      {"server", "ntp_port", 1, 65535},
      {"dataplane", "departure_ns", 0, 10'000'000},
      {"dataplane", "cores", 0, 1023, "[", "]"},
      {"nts_ke", "port", 1, 65535},
      {"nts_ke", "workers", 1, 16},
      {"nts_ke", "connections_max", 64, 65536},  // below 64 it is at odds with the per-source default
      {"nts_ke", "connections_per_source_max", 1, 2048},
      {"nts_ke", "phase_deadline_ms", 100, 60'000},
      {"nts_ke", "deadline_ms", 100, 60'000},
      {"keys", "retention_s", 1, 3653LL * 86400},
      {"clock", "stratum", 1, 15},
      {"clock", "holdover_max_error_us", 1, 16'000'000},
      {"clock", "drift_ppb", 1, 500'000},
  };
  for (const Number& number : numbers) {
    const auto line = [&](const std::string& value) {
      return with(number.section, number.key + " = " + number.before + value + number.after);
    };
    EXPECT_EQ(error_of(line(std::to_string(number.lowest))), "") << number.key;
    EXPECT_EQ(error_of(line(std::to_string(number.highest))), "") << number.key;
    std::vector<std::string> wrong = {"-1",
                                      std::to_string(number.lowest - 1),
                                      std::to_string(number.highest + 1),
                                      "4294967296",
                                      "4294967297",
                                      "9223372036854775807",
                                      "9223372036854775808",
                                      "-9223372036854775808",
                                      "nan",
                                      "inf",
                                      "-inf",
                                      "1e999",
                                      "1e2",
                                      "\"\"",
                                      "''"};
    if (number.lowest > 0) wrong.push_back("0");
    for (const std::string& value : wrong) {
      SCOPED_TRACE(number.key + " = " + value);
      EXPECT_THAT(error_of(line(value)), MatchesRegex("t.toml:[0-9]+:[0-9]+: [^\n]+; [^\n]+"));
    }
  }
}

TEST(ParseConfig, TakesTheNameOfEveryTierAndTheNameThatMeansTheBest) {
  for (const nts::siv::Kernels* tier : nts::siv::all_tiers()) {
    const std::string line = std::string("siv_tier = '") + tier->name + "'";
    EXPECT_EQ(parse_config(with("dataplane", line), "t.toml").dataplane.siv_tier, tier->name);
  }
  EXPECT_EQ(parse_config(with("dataplane", "siv_tier = 'auto'"), "t.toml").dataplane.siv_tier, "");
  // Whoever starts with a name that is nobody's finds out when nothing serves.
  for (const std::string wrong : {"", "vaes512", "vaes512-x16", "PORTABLE_X4", "AVX/512"}) {
    EXPECT_THAT(error_of(with("dataplane", "siv_tier = '" + wrong + "'")),
                HasSubstr(wrong.empty() ? "siv_tier" : "choose from auto, "));
  }
}

TEST(ParseConfig, F03_RefusesEmptyTexts) {
  for (const auto& [section, key] :
       std::vector<std::pair<std::string, std::string>>{{"dataplane", "siv_tier"},
                                                        {"dataplane", "memory"},
                                                        {"nts_ke", "ntp_server"},
                                                        {"keys", "file"},
                                                        {"clock", "reference_id"},
                                                        {"paths", "pages"}}) {
    SCOPED_TRACE(key);
    EXPECT_THAT(error_of(with(section, key + " = \"\"")), HasSubstr("[" + section + "] " + key));
  }
}

TEST(ParseConfig, F04_RefusesRelativeAndClimbingPaths) {
  for (const auto& [section, key] :
       std::vector<std::pair<std::string, std::string>>{{"keys", "file"}, {"paths", "pages"}}) {
    for (const std::string path : {"x", "./x", "../x", "/a/../b", "/..", "~/x"}) {
      SCOPED_TRACE(key + " " + path);
      EXPECT_THAT(
          error_of(with(section, key + " = '" + path + "'")),
          MatchesRegex("t.toml:[0-9]+:[0-9]+: .*(relative; write it from / on|climbs with '..'; .*)"));
    }
    EXPECT_EQ(error_of(with(section, key + " = '/a/b..c/..d'")), "");
  }
  EXPECT_THAT(error_of(server + dataplane + "[nts_ke]\ncertificate = 'c.pem'\nprivate_key = '/k'\n"),
              HasSubstr("[nts_ke] certificate"));
  EXPECT_THAT(error_of(server + dataplane + "[nts_ke]\ncertificate = '/c'\nprivate_key = '/x/../k'\n"),
              HasSubstr("[nts_ke] private_key"));
  EXPECT_EQ(error_of(with("paths", "pages = '/" + std::string(79, 'p') + "'")), "");
  EXPECT_THAT(error_of(with("paths", "pages = '/" + std::string(80, 'p') + "'")), HasSubstr("too long"));
}

TEST(ParseConfig, F04_AFileHasANameAndAPageDirectoryNeedNotSeemToBeOne) {
  for (const char* path : {"/a/", "/", "/a/.", "/a//"})
    EXPECT_THAT(error_of(with("keys", "file = '" + std::string(path) + "'")),
                HasSubstr("that of a directory"));
  EXPECT_EQ(error_of(with("paths", "pages = '/dev/shm/p/'")), "");
}

// Pages are on a tmpfs, their directories readable by all: no place for what is to last, or for a secret.
TEST(ParseConfig, F04_WhatIsKeptIsNotKeptAmongThePages) {
  const auto error = [](const std::string& pages, const std::string& keys) {
    return error_of(with("paths", "pages = '" + pages + "'") + "[keys]\nfile = '" + keys + "'\n");
  };
  EXPECT_EQ(error("/run/p", "/run/keys"), "");
  EXPECT_EQ(error("/run/p", "/run/pp/keys"), "");
  for (const char* keys : {"/run/p/keys", "/run/p/keeper/keys", "/run//p/./keys"}) {
    EXPECT_THAT(error("/run/p", keys), HasSubstr("[keys] file is in the page directory")) << keys;
    EXPECT_THAT(error("/run/p/", keys), HasSubstr("[keys] file is in the page directory")) << keys;
  }
}

TEST(ParseConfig, F05_ReadsAddressesExactly) {
  const auto addresses = [](const std::string& list) {
    return error_of(with("server", "addresses = " + list));
  };
  for (const std::string good :
       {"192.0.2.1/24", "192.0.2.255/1", "192.0.2.1/32", "127.0.0.1/8", "2001:db8::1/128", "2001:db8::/1",
        "::1/128", "fe80::1/64", "223.255.255.255/32"}) {
    EXPECT_EQ(addresses("['" + good + "']"), "") << good;
  }
  for (const std::string bad : {"192.0.2.1",
                                "192.0.2.1/",
                                "192.0.2.1/0",
                                "192.0.2.1/33",
                                "192.0.2.1/-1",
                                "192.0.2.1/+1",
                                "192.0.2.1/024",
                                "192.0.2.1/24 ",
                                "192.0.2.1/2 4",
                                "192.0.2/24",
                                "192.0.2.01/24",
                                "192.0.2.256/24",
                                "1/24",
                                "0x7f.0.0.1/8",
                                "2001:db8::1/129",
                                "2001:db8::1/0",
                                "2001:db8::1%eth0/64",
                                "::ffff:192.0.2.1/96",
                                "::/64",
                                "0.0.0.0/8",
                                "224.0.1.1/32",
                                "255.255.255.255/32",
                                "ff02::1/16",
                                "a.example/24",
                                "/24",
                                ""}) {
    EXPECT_THAT(addresses("['" + bad + "']"), HasSubstr("[server] addresses[0]")) << bad;
  }
  EXPECT_THAT(addresses("['192.0.2.1/24', '192.0.2.1/25']"), HasSubstr("addresses[1]: it stands here twice"));
  std::string many;
  for (int i = 0; i < 65; ++i) many += "'10.0.0." + std::to_string(i + 1) + "/24',";
  EXPECT_THAT(addresses("[" + many + "]"), HasSubstr("it has 65 elements; give from 1 to 64"));
}

TEST(ParseConfig, ReadsNamesAndDevicesWithinTheirBounds) {
  const auto name = [](const std::string& text) {
    return error_of("[server]\nname = '" + text + "'\n" + dataplane + nts_ke);
  };
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + label;  // 255 octets
  for (const std::string& good :
       {std::string("a"), std::string("time.example.net."), std::string("192.0.2.1"),
        std::string("2001:db8::1"), std::string("xn--zeit-9qa.example"), longest}) {
    EXPECT_EQ(name(good), "") << good;
  }
  for (const std::string& bad :
       {std::string(""), std::string("a b"), std::string("-a"), std::string("a-"), std::string("a..b"),
        std::string(".a"), std::string("."), std::string("a_b"), std::string("1.2.3"),
        std::string("999.1.1.1"), label + "a", longest + "."}) {
    EXPECT_THAT(name(bad), HasSubstr("[server] name")) << bad;
  }
  const auto device = [](const std::string& text) {
    return error_of(server + "[dataplane]\ndevices = ['" + text + "']\n" + nts_ke);
  };
  for (const std::string good :
       {"af_packet:eth0", "af_packet:123456789012345", "af_xdp:eth0", "af_xdp:123456789012345,busy_budget=0",
        "af_xdp:eth0,busy_budget=65535", "vdev:net_pcap0,rx_pcap=/a,tx_pcap=/b", "pci:0000:3b:00.0",
        "pci:10de:FF:1f.7,rx_vec_en=0"}) {
    EXPECT_EQ(device(good), "") << good;
  }
  for (const std::string bad : {"",
                                "eth0",
                                "af_packet:",
                                "af_packet:1234567890123456",
                                "af_packet:a/b",
                                "af_packet:eth0,x=1",
                                "af_packet:eth0,busy_budget=64",
                                "af_xdp:eth0,x=1",
                                "af_xdp:eth0,busy_budget=",
                                "af_xdp:eth0,busy_budget=-1",
                                "af_xdp:eth0,busy_budget=1,x=1",
                                "af_xdp:eth0,busy_budget=123456",
                                "af_xdp:1234567890123456,busy_budget=1",
                                "vdev:a b",
                                "vdev:",
                                "pci:",
                                "pci:3b:00.0",
                                "pci:0000:3b:00.8",
                                "pci:0000:3b:00.0;x",
                                "af_xdp:",
                                "af_xdp:a/b",
                                "AF_PACKET:eth0"}) {
    EXPECT_THAT(device(bad), HasSubstr("[dataplane] devices[0]")) << bad;
  }
}

TEST(ParseConfig, AsksForWhatNobodyCanGuess) {
  EXPECT_THAT(error_of(dataplane + nts_ke), StartsWith("t.toml:0:0: [server] name is missing; "));
  EXPECT_THAT(error_of(server + nts_ke), StartsWith("t.toml:0:0: [dataplane] devices is missing; "));
  EXPECT_THAT(error_of(server + dataplane), StartsWith("t.toml:0:0: [nts_ke] certificate is missing; "));
  EXPECT_EQ(error_of(server + "answer_nts = false\n" + dataplane), "");
  EXPECT_THAT(error_of(with("server", "answer_nts = false\nanswer_plain = false")), HasSubstr("both false"));
  EXPECT_THAT(error_of(with("nts_ke", "aeads = [30]")), HasSubstr("is without 15"));
  EXPECT_THAT(error_of(with("nts_ke", "aeads = [15, 18]")), HasSubstr("18 is no AEAD"));
  EXPECT_THAT(error_of(with("nts_ke", "gcm_siv_export = 'chrony'")), HasSubstr("\"strict\""));
  EXPECT_THAT(error_of(with("nts_ke", "connections_max = 63")), HasSubstr("larger than connections_max"));
}

}  // namespace
}  // namespace control
