// Certificates of every kind an operator may bring, and those that are refused with a reason (TESTS.md E14).
#include "control/tls.h"

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;
using control::TlsConnection;
using control::TlsContext;
using control::TlsError;

class Tls : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/noonmark-tls-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Runs OpenSSL's command line in the test's own folder.
  void make(const std::string& script) const {
    const std::string command = "exec >/dev/null 2>&1; set -e; cd " + folder_.string() + "\n" + script;
    ASSERT_EQ(std::system(command.c_str()), 0) << script;  // NOLINT(cert-env33-c): a test's own fixed script
  }
  // A self-signed certificate for time.test as certificate.pem, with key.pem.
  void make_self_signed(const std::string& kind) const {
    make("openssl req -x509 -noenc -newkey " + kind +
         " -subj /CN=time.test -addext subjectAltName=DNS:time.test -days 2 "
         "-keyout key.pem -out certificate.pem");
  }
  [[nodiscard]] TlsContext server(const char* certificate = "certificate.pem") const {
    return TlsContext::for_server(folder_ / certificate, folder_ / "key.pem");
  }
  // What the server says against its files; empty when it takes them.
  [[nodiscard]] std::string refusal(const char* certificate = "certificate.pem") const {
    try {
      (void)server(certificate);
      return "";
    } catch (const TlsError& error) {
      return error.what();
    }
  }
  // Empty when they shake hands; else what the client found wrong.
  [[nodiscard]] std::string fault_with(const TlsContext& with,
                                       const char* authority = "certificate.pem") const {
    const TlsContext trusting = TlsContext::for_client(folder_ / authority);
    TlsConnection client = TlsConnection::connect(trusting, "time.test");
    TlsConnection end = TlsConnection::accept(with);
    std::vector<std::uint8_t> plaintext;
    for (int i = 0; i < 4; ++i) {
      end.receive(client.take_output(), plaintext);
      client.receive(end.take_output(), plaintext);
    }
    return end.state() == TlsConnection::State::established ? client.fault()
                                                            : client.fault() + "; no handshake";
  }

  fs::path folder_;
};

TEST_F(Tls, E14_KeysOfEveryUsualKindServe) {
  for (const std::string kind : {"rsa:2048", "rsa:4096", "ec -pkeyopt ec_paramgen_curve:P-256",
                                 "ec -pkeyopt ec_paramgen_curve:P-384", "ed25519"}) {
    SCOPED_TRACE(kind);
    make_self_signed(kind);
    EXPECT_EQ(fault_with(server()), "");
  }
}

TEST_F(Tls, E14_ACertificateOutOfItsTimeServesBecauseClientsDecideAndSaysWhenItEnds) {
  const std::int64_t now_s = std::time(nullptr);
  make_self_signed("ed25519");
  EXPECT_GT(server().expires_unix_s(), now_s + 86'400);
  make(
      "openssl req -new -key key.pem -subj /CN=time.test -out request.pem\n"
      "printf subjectAltName=DNS:time.test >names\n"
      "openssl x509 -req -in request.pem -signkey key.pem -days -1 -extfile names -out expired.pem");
  EXPECT_LT(server("expired.pem").expires_unix_s(), now_s);
  EXPECT_NE(fault_with(server("expired.pem"), "expired.pem").find("expired"), std::string::npos);
  make(
      "mkdir -p ca; : >ca/index; echo 01 >ca/serial\n"
      "openssl ca -batch -selfsign -keyfile key.pem -in request.pem -out later.pem -outdir ca -notext "
      "-md sha256 -startdate 20990101000000Z -enddate 21000101000000Z -extfile names -config /dev/stdin "
      "<<END\n"
      "[ca]\ndefault_ca=d\n[d]\ndatabase=ca/index\nserial=ca/serial\npolicy=p\ndefault_md=default\n"
      "[p]\ncommonName=supplied\nEND");
  EXPECT_GT(server("later.pem").expires_unix_s(), std::int64_t{4'000'000'000});
  EXPECT_NE(fault_with(server("later.pem"), "later.pem").find("not yet valid"), std::string::npos);
}

TEST_F(Tls, E14_WithoutItsIntermediateAServerStartsAndWithItClientsBelieve) {
  make(
      "new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc'\n"
      "openssl req -x509 $new -keyout root.key -out root.pem -days 2 -subj /CN=root\n"
      "openssl req $new -keyout middle.key -out middle.req -subj /CN=middle\n"
      "printf 'basicConstraints=critical,CA:TRUE\\n' >middle.ext\n"
      "openssl x509 -req -in middle.req -CA root.pem -CAkey root.key -CAcreateserial -days 2 -extfile "
      "middle.ext "
      "-out middle.pem\n"
      "openssl req $new -keyout key.pem -out leaf.req -subj /CN=time.test\n"
      "printf 'subjectAltName=DNS:time.test\\n' >leaf.ext\n"
      "openssl x509 -req -in leaf.req -CA middle.pem -CAkey middle.key -CAcreateserial -days 2 -extfile "
      "leaf.ext -out "
      "leaf.pem\n"
      "cat leaf.pem middle.pem >chain.pem\ncat middle.pem leaf.pem >reversed.pem");
  EXPECT_EQ(fault_with(server("chain.pem"), "root.pem"), "");
  EXPECT_NE(fault_with(server("leaf.pem"), "root.pem").find("unable to get local issuer"), std::string::npos);
  EXPECT_NE(refusal("reversed.pem"), "") << "the server's own certificate comes first";
}

TEST_F(Tls, E14_WhatCannotServeIsRefusedWithItsFileAndWhatToDo) {
  make_self_signed("ed25519");
  make("cp key.pem good.pem; openssl pkey -in good.pem -aes256 -passout pass:x -out key.pem");
  EXPECT_NE(refusal().find("key.pem: is no readable, unencrypted private key"), std::string::npos)
      << refusal();
  make("openssl genpkey -algorithm ed25519 -out key.pem");
  EXPECT_NE(refusal().find("key.pem"), std::string::npos) << "another key";
  EXPECT_NE(refusal().find("certificate.pem"), std::string::npos) << "and for which certificate";
  make("head -c 100 good.pem >key.pem");
  EXPECT_NE(refusal().find("private_key"), std::string::npos);
  make("cp good.pem key.pem; head -c 200 certificate.pem >cut.pem; : >empty.pem");
  for (const char* certificate : {"cut.pem", "empty.pem", "good.pem", "missing.pem"}) {
    EXPECT_NE(refusal(certificate).find(std::string(certificate) + ": is no certificate chain in PEM"),
              std::string::npos)
        << refusal(certificate);
  }
  EXPECT_NE(refusal("missing.pem").find("No such file"), std::string::npos) << refusal("missing.pem");
  EXPECT_EQ(refusal(), "");
}

// RFC 6125 section 6.4.4: a name in the subject alone is not looked at where there are other names, and we do
// not look at it at all.
TEST_F(Tls, E14_P01_OurClientBelievesNamesInSubjectAltNameOnly) {
  make(
      "openssl req -x509 -noenc -newkey ed25519 -subj /CN=time.test -days 2 -keyout key.pem -out "
      "certificate.pem");
  EXPECT_EQ(refusal(), "") << "the server starts: what clients look at is theirs";
  EXPECT_NE(fault_with(server()).find("ostname mismatch"), std::string::npos);
}

}  // namespace
