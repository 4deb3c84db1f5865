#include "nts/request.h"

#include <gtest/gtest.h>

#include "tests/support/packet_builder.h"

namespace {

using nts::read_request;
using nts::Request;
using nts::Verdict;
using tests::key_of;
using tests::nts_request;
using tests::Octets;
using tests::RequestBuilder;
using tests::usual_cookie;

Verdict verdict_of(const Octets& packet) { return read_request(packet).verdict; }

TEST(ReadRequest, B01_DropsEveryPayloadShorterThan48Octets) {
  const Octets whole = tests::plain_request();
  for (std::size_t bytes = 0; bytes < 48; ++bytes) {
    EXPECT_EQ(verdict_of(Octets(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes))),
              Verdict::drop_short);
  }
  EXPECT_EQ(verdict_of(whole), Verdict::answer_plain);
}

TEST(ReadRequest, B02_B03_P40_AnswersOnlyModeThreeOfVersionsThreeAndFour) {
  for (std::uint8_t version = 0; version < 8; ++version) {
    for (std::uint8_t mode = 0; mode < 8; ++mode) {
      SCOPED_TRACE(testing::Message() << "version " << int{version} << " mode " << int{mode});
      const Verdict verdict = verdict_of(tests::plain_request(version, mode));
      if (version != 3 && version != 4) {
        EXPECT_EQ(verdict, Verdict::drop_version);
      } else {
        EXPECT_EQ(verdict, mode == 3 ? Verdict::answer_plain : Verdict::drop_mode);
      }
    }
  }
}

TEST(ReadRequest, B09_P44_P47_TakesATailOf4Or20Or24OctetsForAMacAndAnyOtherShortTailForGarbage) {
  for (const std::uint8_t version : {std::uint8_t{3}, std::uint8_t{4}}) {
    for (std::size_t tail = 1; tail < 28; ++tail) {
      SCOPED_TRACE(tail);
      const Octets packet = RequestBuilder(version).raw(Octets(tail, 0)).octets();
      const bool is_mac = tail == 4 || tail == 20 || tail == 24;
      EXPECT_EQ(verdict_of(packet), is_mac ? Verdict::drop_mac : Verdict::drop_trailing);
    }
  }
}

TEST(ReadRequest, B09_AMacBehindAnExtensionFieldIsDroppedToo) {
  EXPECT_EQ(verdict_of(RequestBuilder().unique_identifier().raw(Octets(20, 1)).octets()), Verdict::drop_mac);
  EXPECT_EQ(verdict_of(RequestBuilder().unique_identifier().raw(Octets(24, 1)).octets()), Verdict::drop_mac);
}

TEST(ReadRequest, C01_DropsFieldsWhoseLengthIsTooSmallNotAMultipleOf4OrBeyondTheEnd) {
  for (std::uint32_t length = 0; length <= 0xffff; ++length) {
    const Octets packet =
        RequestBuilder().field_with_length(0x7777, static_cast<std::uint16_t>(length), 60).octets();
    const Verdict verdict = verdict_of(packet);
    if (length < 16 || length % 4 != 0 || length > 64) {
      ASSERT_EQ(verdict, Verdict::drop_extension) << length;
    } else if (length == 64 || 64 - length >= 28) {
      // Inside: what follows the field is 0xee.., a field far too long, unless nothing follows.
      ASSERT_EQ(verdict, length == 64 ? Verdict::answer_plain : Verdict::drop_extension) << length;
    } else {
      ASSERT_TRUE(verdict == Verdict::drop_mac || verdict == Verdict::drop_trailing) << length;
    }
  }
}

TEST(ReadRequest, C02_DropsALengthOf65535Or65532InASmallPacket) {
  EXPECT_EQ(verdict_of(RequestBuilder().field_with_length(0x0204, 65535, 40).octets()),
            Verdict::drop_extension);
  EXPECT_EQ(verdict_of(RequestBuilder().field_with_length(0x0204, 65532, 40).octets()),
            Verdict::drop_extension);
}

TEST(ReadRequest, C03_ALastFieldBelow28OctetsWithoutAMacIsGarbageAndOneOf28IsAField) {
  EXPECT_EQ(verdict_of(RequestBuilder().field(0x7777, Octets(12, 0)).octets()), Verdict::drop_trailing);
  EXPECT_EQ(verdict_of(RequestBuilder().field(0x7777, Octets(24, 0)).octets()), Verdict::answer_plain);
}

TEST(ReadRequest, C04_P45_PassesOverUnknownFieldsUpToTheLimit) {
  RequestBuilder within;
  for (std::uint32_t i = 0; i < nts::extension_fields_max; ++i) within.field(0x7777, Octets(24, 1));
  EXPECT_EQ(verdict_of(within.octets()), Verdict::answer_plain);
  EXPECT_EQ(verdict_of(within.field(0x7777, Octets(24, 1)).octets()), Verdict::drop_extension_count);
}

TEST(ReadRequest, C05_P28_NtsOnVersion3IsNeverRead) {
  Octets packet = nts_request();
  packet[0] = 3 << 3 | 3;
  EXPECT_EQ(verdict_of(packet), Verdict::drop_trailing);
}

TEST(ReadRequest, C06_P20_WantsExactlyOneUniqueIdentifierOf32OctetsOrMore) {
  const auto with_identifier = [](std::size_t body) {
    return RequestBuilder()
        .unique_identifier(body)
        .cookie(usual_cookie())
        .authenticator(key_of(0xc2))
        .octets();
  };
  EXPECT_EQ(verdict_of(RequestBuilder().cookie(usual_cookie()).authenticator(key_of(0xc2)).octets()),
            Verdict::drop_unique_identifier);
  EXPECT_EQ(verdict_of(RequestBuilder()
                           .unique_identifier()
                           .unique_identifier()
                           .cookie(usual_cookie())
                           .authenticator(key_of(0xc2))
                           .octets()),
            Verdict::drop_unique_identifier);
  EXPECT_EQ(verdict_of(with_identifier(28)), Verdict::drop_unique_identifier);
  EXPECT_EQ(verdict_of(with_identifier(32)), Verdict::answer_nts);
  EXPECT_EQ(verdict_of(with_identifier(64)), Verdict::answer_nts);
  EXPECT_EQ(verdict_of(with_identifier(1000)), Verdict::answer_nts);
}

TEST(ReadRequest, C06_TwoUniqueIdentifiersInAPlainRequestAreDropped) {
  EXPECT_EQ(verdict_of(RequestBuilder().unique_identifier().octets()), Verdict::answer_plain);
  EXPECT_EQ(verdict_of(RequestBuilder().unique_identifier().unique_identifier().octets()),
            Verdict::drop_unique_identifier);
}

TEST(ReadRequest, C07_P21_WantsExactlyOneCookieBeforeTheAuthenticator) {
  EXPECT_EQ(verdict_of(RequestBuilder().unique_identifier().authenticator(key_of(0xc2)).octets()),
            Verdict::drop_cookie);
  EXPECT_EQ(verdict_of(RequestBuilder()
                           .unique_identifier()
                           .cookie(usual_cookie())
                           .cookie(usual_cookie())
                           .authenticator(key_of(0xc2))
                           .octets()),
            Verdict::drop_cookie);
  EXPECT_EQ(
      verdict_of(
          RequestBuilder().unique_identifier().authenticator(key_of(0xc2)).cookie(usual_cookie()).octets()),
      Verdict::drop_cookie)
      << "a cookie behind the authenticator is not there";
}

TEST(ReadRequest, C11_WithoutAnAuthenticatorItIsDropped) {
  EXPECT_EQ(verdict_of(RequestBuilder().unique_identifier().cookie(usual_cookie()).octets()),
            Verdict::drop_authenticator);
}

TEST(ReadRequest, C11_P25_WhatFollowsTheAuthenticatorIsNeverRead) {
  const Request clean = read_request(nts_request());
  for (const Octets& tail : {Octets(1, 0xff), Octets(4, 0), Octets(20, 7), Octets(28, 0xff), nts_request()}) {
    Octets packet = nts_request();
    packet.insert(packet.end(), tail.begin(), tail.end());
    const Request request = read_request(packet);
    EXPECT_EQ(request.verdict, Verdict::answer_nts);
    EXPECT_EQ(request.cookies_wanted, clean.cookies_wanted);
    EXPECT_EQ(request.authenticator_offset, clean.authenticator_offset);
  }
}

TEST(ReadRequest, C12_P23_InnerLengthsOfTheAuthenticatorMustFitInsideIt) {
  Octets packet = nts_request();
  const Request good = read_request(packet);
  ASSERT_EQ(good.verdict, Verdict::answer_nts);
  const std::size_t lengths = good.authenticator_offset + 4U;
  for (const std::uint32_t nonce : {0U, 1U, 3U, 4U, 15U, 16U, 17U, 20U, 32U, 36U, 65532U, 65535U}) {
    for (const std::uint32_t sealed : {0U, 1U, 15U, 16U, 17U, 20U, 32U, 65520U, 65535U}) {
      SCOPED_TRACE(testing::Message() << "nonce " << nonce << " sealed " << sealed);
      nts::store_u16(packet.data() + lengths, static_cast<std::uint16_t>(nonce));
      nts::store_u16(packet.data() + lengths + 2, static_cast<std::uint16_t>(sealed));
      const Request request = read_request(packet);
      // 32 octets follow the lengths; the nonce takes at least 16 of them.
      const std::uint32_t needed = std::max(nts::padded_to_4(nonce), 16U) + nts::padded_to_4(sealed);
      if (nonce == 0 || sealed < 16 || needed > 32) {
        EXPECT_EQ(request.verdict, Verdict::drop_authenticator);
      } else {
        EXPECT_EQ(request.verdict, Verdict::answer_nts);
        EXPECT_LE(request.sealed_offset + request.sealed_bytes, packet.size());
      }
    }
  }
}

TEST(ReadRequest, P23_AShortNonceNeedsPaddingUpTo16) {
  const auto with_nonce = [](std::size_t nonce, std::size_t extra) {
    return RequestBuilder()
        .unique_identifier()
        .cookie(usual_cookie())
        .authenticator(key_of(0xc2), {}, nonce, extra)
        .octets();
  };
  EXPECT_EQ(verdict_of(with_nonce(12, 0)), Verdict::drop_authenticator);
  EXPECT_EQ(verdict_of(with_nonce(12, 4)), Verdict::answer_nts);
  EXPECT_EQ(verdict_of(with_nonce(1, 8)), Verdict::drop_authenticator);
  EXPECT_EQ(verdict_of(with_nonce(1, 12)), Verdict::answer_nts);
  EXPECT_EQ(verdict_of(with_nonce(32, 0)), Verdict::answer_nts);
}

TEST(ReadRequest, C17_P22_PlaceholdersEarnCookiesUpToEight) {
  for (const std::size_t placeholders : {0U, 1U, 6U, 7U, 8U, 9U, 20U}) {
    const Request request = read_request(nts_request(placeholders));
    EXPECT_EQ(request.verdict, Verdict::answer_nts);
    EXPECT_EQ(request.cookies_wanted, std::min<std::size_t>(placeholders + 1, 8));
  }
  EXPECT_EQ(verdict_of(nts_request(50)), Verdict::drop_extension_count);
  EXPECT_EQ(verdict_of(nts_request(300)), Verdict::drop_extension_count);
}

TEST(ReadRequest, C18_P22_APlaceholderOfAnotherLengthThanTheCookieIsDropped) {
  for (const std::size_t body : {96U, 104U, 12U, 0U + 24U}) {
    const Octets packet = RequestBuilder()
                              .unique_identifier()
                              .cookie(usual_cookie())
                              .placeholders(1)
                              .placeholders(1, body)
                              .authenticator(key_of(0xc2))
                              .octets();
    EXPECT_EQ(verdict_of(packet), Verdict::drop_placeholder) << body;
  }
  EXPECT_EQ(
      verdict_of(RequestBuilder().unique_identifier().placeholders(1).authenticator(key_of(0xc2)).octets()),
      Verdict::drop_cookie)
      << "a placeholder without a cookie";
}

TEST(ReadRequest, NoPrefixOfAValidRequestIsAnsweredWithNts) {
  const Octets whole = nts_request(2);
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    SCOPED_TRACE(bytes);
    const Octets cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
    EXPECT_NE(verdict_of(cut), Verdict::answer_nts);
  }
}

TEST(ReadEncryptedFields, P24_FieldsMayBeShorterThan16OctetsHereButKeepTheirBounds) {
  const auto read = [](const Octets& plaintext) {
    Request request;
    request.verdict = Verdict::answer_nts;
    request.cookie_bytes = 100;
    request.cookies_wanted = 1;
    nts::read_encrypted_fields(plaintext, request);
    return request;
  };
  EXPECT_EQ(read({0x77, 0x77, 0, 4}).verdict, Verdict::answer_nts);
  EXPECT_EQ(read({0x77, 0x77, 0, 3}).verdict, Verdict::drop_encrypted);
  EXPECT_EQ(read({0x77, 0x77, 0, 8}).verdict, Verdict::drop_encrypted);
  EXPECT_EQ(read({0x77, 0x77, 0, 0}).verdict, Verdict::drop_encrypted);
  EXPECT_EQ(read({0x77, 0x77}).verdict, Verdict::drop_encrypted);
  Octets placeholder = {3, 4, 0, 104};
  placeholder.resize(104);
  EXPECT_EQ(read(placeholder).cookies_wanted, 2);
  placeholder[3] = 100;
  placeholder.resize(100);
  EXPECT_EQ(read(placeholder).verdict, Verdict::drop_placeholder);
}

}  // namespace
