#include "nts/request.h"

#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <tuple>

#include "tests/nts/aead_session.h"
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
using U16s = std::initializer_list<std::uint16_t>;

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

TEST(ReadRequest, C01_AFieldEndingOneOctetToTheFourBeyondThePacketIsDroppedWhateverItsType) {
  for (const std::uint16_t type : U16s{0x0104, 0x0204, 0x0304, 0x0404, 0x7777}) {
    for (std::uint32_t beyond = 4; beyond <= 0xffff - 64; beyond += beyond < 64 ? 4 : 1020) {
      const auto length = static_cast<std::uint16_t>(64 + beyond);
      ASSERT_EQ(verdict_of(RequestBuilder().field_with_length(type, length, 60).octets()),
                Verdict::drop_extension)
          << type << " " << beyond;
    }
    for (const std::uint16_t length : U16s{0, 1, 2, 3, 4, 8, 12, 17, 18, 19}) {
      EXPECT_EQ(verdict_of(RequestBuilder().field_with_length(type, length, 60).octets()),
                Verdict::drop_extension)
          << type << " " << length;
    }
  }
}

// 16 octets are enough for a field that another one follows (RFC 7822 section 3).
TEST(ReadRequest, C01_P44_AFieldOf16OctetsIsTakenWhenItIsNotTheLast) {
  EXPECT_EQ(verdict_of(RequestBuilder().field(0x7777, Octets(12)).field(0x7777, Octets(24)).octets()),
            Verdict::answer_plain);
  EXPECT_EQ(verdict_of(RequestBuilder().field(0x7777, Octets(8)).field(0x7777, Octets(24)).octets()),
            Verdict::drop_extension);
}

TEST(ReadRequest, C02_DropsALengthOf65535Or65532InASmallPacket) {
  EXPECT_EQ(verdict_of(RequestBuilder().field_with_length(0x0204, 65535, 40).octets()),
            Verdict::drop_extension);
  EXPECT_EQ(verdict_of(RequestBuilder().field_with_length(0x0204, 65532, 40).octets()),
            Verdict::drop_extension);
}

TEST(ReadRequest, C03_P44_ALastFieldBelow28OctetsWithoutAMacIsGarbageAndOneOf28IsAField) {
  // 20 and 24 octets may as well be a MAC: RFC 7822 cannot tell, and we answer neither.
  const std::vector<std::pair<std::size_t, Verdict>> by_bytes = {{16, Verdict::drop_trailing},
                                                                 {20, Verdict::drop_mac},
                                                                 {24, Verdict::drop_mac},
                                                                 {28, Verdict::answer_plain},
                                                                 {32, Verdict::answer_plain}};
  for (const auto& [bytes, verdict] : by_bytes) {
    EXPECT_EQ(verdict_of(RequestBuilder().field(0x7777, Octets(bytes - 4)).octets()), verdict) << bytes;
    EXPECT_EQ(verdict_of(RequestBuilder().unique_identifier().field(0x7777, Octets(bytes - 4)).octets()),
              verdict)
        << bytes;
  }
}

TEST(ReadRequest, C04_P45_PassesOverUnknownFieldsUpToTheLimitAndDropsAnyMore) {
  for (std::size_t count = 0; count <= 100; ++count) {
    RequestBuilder builder;
    for (std::size_t i = 0; i < count; ++i) builder.field(0x7777, Octets(24, 1));
    EXPECT_EQ(verdict_of(builder.octets()),
              count <= nts::extension_fields_max ? Verdict::answer_plain : Verdict::drop_extension_count)
        << count;
  }
}

// A field of ours counts like any other: identifier, cookie and authenticator leave room for 29.
TEST(ReadRequest, C04_TheLimitHoldsForNtsRequestsToo) {
  for (const std::size_t unknown : {29U, 30U}) {
    RequestBuilder builder;
    builder.unique_identifier().cookie(usual_cookie());
    for (std::size_t i = 0; i < unknown; ++i) builder.field(0x7777, Octets(12, 1));
    EXPECT_EQ(verdict_of(builder.authenticator(key_of(0xc2)).octets()),
              unknown == 29 ? Verdict::answer_nts : Verdict::drop_extension_count);
  }
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
  for (const std::size_t body : {0U, 31U}) {
    EXPECT_EQ(verdict_of(with_identifier(body)), Verdict::drop_extension) << body << ": no field is so long";
  }
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

TEST(ReadRequest, C07_ACookieOfAnyShapeButAFieldsIsDroppedAndAnyOtherIsForTheServerToOpen) {
  for (const std::size_t body : {0U, 1U, 8U, 15U, 99U, 101U, 255U}) {
    EXPECT_EQ(verdict_of(RequestBuilder()
                             .unique_identifier()
                             .cookie(Octets(body, 7))
                             .authenticator(key_of(0xc2))
                             .octets()),
              Verdict::drop_extension)
        << body;
  }
  for (const std::size_t body : {12U, 16U, 96U, 100U, 104U, 256U, 1000U}) {
    const Octets packet =
        RequestBuilder().unique_identifier().cookie(Octets(body, 7)).authenticator(key_of(0xc2)).octets();
    const Request request = read_request(packet);
    EXPECT_EQ(request.verdict, Verdict::answer_nts) << body;
    EXPECT_EQ(request.cookie_offset, 48U + 36U + 4U);
    EXPECT_EQ(request.cookie_bytes, body);
  }
}

TEST(ReadRequest, P24_OffsetsStandWhereTheBuilderPutThem) {
  const Octets packet = nts_request(2);
  const Request request = read_request(packet);
  EXPECT_EQ(request.unique_identifier_offset, 48U);
  EXPECT_EQ(request.unique_identifier_bytes, 36U);
  EXPECT_EQ(request.authenticator_offset, packet.size() - 40U);
  EXPECT_EQ(request.nonce_offset, packet.size() - 32U);
  EXPECT_EQ(request.nonce_bytes, 16U);
  EXPECT_EQ(request.sealed_offset, packet.size() - 16U);
  EXPECT_EQ(request.sealed_bytes, 16U);
  const Request odd = read_request(RequestBuilder()
                                       .unique_identifier()
                                       .cookie(usual_cookie())
                                       .authenticator(key_of(0xc2), Octets(5), 17)
                                       .octets());
  EXPECT_EQ(odd.sealed_offset - odd.nonce_offset, 20U) << "a nonce of 17 is padded to 20";
  EXPECT_EQ(odd.sealed_bytes, 21U);
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

// The usual request is read at a glance (request.cc), and with a tail, which is never read, by the walk.
// Every value of every octet that the glance looks at, and of some that it does not.
TEST(ReadRequest, C11_P25_WhatIsReadAtAGlanceIsWhatTheWalkReads) {
  const auto all_of = [](const Request& r) {
    return std::tuple(r.verdict, r.version, r.cookies_wanted, r.unique_identifier_offset,
                      r.unique_identifier_bytes, r.cookie_offset, r.cookie_bytes, r.authenticator_offset,
                      r.nonce_offset, r.nonce_bytes, r.sealed_offset, r.sealed_bytes, r.asks_mono_root,
                      r.answer_clear_bytes);
  };
  const Octets usual = nts_request();
  ASSERT_EQ(usual.size(), 228U);
  int answered = 0;
  for (const std::size_t at :
       std::initializer_list<std::size_t>{0,   1,   47,  48,  49,  50,  51,  52,  83,  84,  85,  86,  87, 88,
                                          187, 188, 189, 190, 191, 192, 193, 194, 195, 196, 211, 212, 227}) {
    for (int value = 0; value < 256; ++value) {
      SCOPED_TRACE(std::to_string(at) + " is " + std::to_string(value));
      Octets packet = usual;
      packet[at] = static_cast<std::uint8_t>(value);
      const Request request = read_request(packet);
      if (request.verdict != Verdict::answer_nts) continue;
      ++answered;
      packet.resize(packet.size() + 28, 0xff);
      EXPECT_EQ(all_of(request), all_of(read_request(packet)));
    }
  }
  // All values of the ten octets that are no structure, the four leap indicators, the usual value of each of
  // the sixteen that are, and a nonce of 1 to 15 octets, which is padded to 16.
  EXPECT_EQ(answered, 10 * 256 + 4 + 16 + 15);
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

// The field at its largest, and lengths whose sum only fits 17 bits.
TEST(ReadRequest, C12_InnerLengthsNeverOverflow16Bits) {
  Octets packet = RequestBuilder().unique_identifier().cookie(usual_cookie()).octets();
  const std::size_t field = packet.size();
  const std::size_t rest = (0xffff - field) / 4 * 4;
  packet = RequestBuilder()
               .unique_identifier()
               .cookie(usual_cookie())
               .field_with_length(0x0404, static_cast<std::uint16_t>(rest), rest - 4)
               .octets();
  const auto with = [&](std::size_t nonce, std::size_t sealed) {
    nts::store_u16(packet.data() + field + 4, static_cast<std::uint16_t>(nonce));
    nts::store_u16(packet.data() + field + 6, static_cast<std::uint16_t>(sealed));
    return read_request(packet);
  };
  const std::size_t room = rest - 8;
  EXPECT_EQ(with(65'535, 65'535).verdict, Verdict::drop_authenticator);
  EXPECT_EQ(with(32'768, 32'768).verdict, Verdict::drop_authenticator);
  EXPECT_EQ(with(16, room - 12).verdict, Verdict::drop_authenticator);
  const Request longest = with(16, room - 16);
  EXPECT_EQ(longest.verdict, Verdict::answer_nts);
  EXPECT_EQ(longest.sealed_offset + longest.sealed_bytes, packet.size());
  const Request long_nonce = with(room - 16, 16);
  EXPECT_EQ(long_nonce.verdict, Verdict::answer_nts);
  EXPECT_EQ(long_nonce.sealed_offset + 16U, packet.size());
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
  for (std::size_t placeholders = 0; placeholders <= 29; ++placeholders) {
    const Request request = read_request(nts_request(placeholders));
    EXPECT_EQ(request.verdict, Verdict::answer_nts);
    EXPECT_EQ(request.cookies_wanted, std::min<std::size_t>(placeholders + 1, 8));
  }
  EXPECT_EQ(verdict_of(nts_request(30)), Verdict::drop_extension_count);
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
  // The other way round too: the first one differs, or both agree and differ from the cookie.
  for (const std::vector<std::size_t>& bodies :
       {std::vector<std::size_t>{104, 100}, std::vector<std::size_t>{104, 104},
        std::vector<std::size_t>{96}}) {
    RequestBuilder builder;
    builder.unique_identifier();
    for (const std::size_t body : bodies) builder.placeholders(1, body);  // before the cookie: order is free
    EXPECT_EQ(verdict_of(builder.cookie(usual_cookie()).authenticator(key_of(0xc2)).octets()),
              Verdict::drop_placeholder);
  }
  EXPECT_EQ(verdict_of(RequestBuilder()
                           .unique_identifier()
                           .placeholders(1)
                           .cookie(usual_cookie())
                           .authenticator(key_of(0xc2))
                           .octets()),
            Verdict::answer_nts);
  EXPECT_EQ(
      verdict_of(RequestBuilder().unique_identifier().placeholders(1).authenticator(key_of(0xc2)).octets()),
      Verdict::drop_cookie)
      << "a placeholder without a cookie";
}

TEST(ReadRequest, C18_APlaceholderMakesARequestAnNtsRequestWhateverElseIsMissing) {
  EXPECT_EQ(verdict_of(RequestBuilder().placeholders(1).octets()), Verdict::drop_unique_identifier);
  EXPECT_EQ(verdict_of(RequestBuilder().unique_identifier().placeholders(1).octets()), Verdict::drop_cookie);
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
  Octets many;
  for (std::uint32_t i = 0; i < nts::extension_fields_max; ++i) many.insert(many.end(), {0x77, 0x77, 0, 4});
  EXPECT_EQ(read(many).verdict, Verdict::answer_nts);
  many.insert(many.end(), {0x77, 0x77, 0, 4});
  EXPECT_EQ(read(many).verdict, Verdict::drop_encrypted) << "one more than is looked at";
  placeholder[3] = 100;
  placeholder.resize(100);
  EXPECT_EQ(read(placeholder).verdict, Verdict::drop_placeholder);
}

TEST(ReadRequest, B01_AnOversizedPayloadIsNotReadAtAll) {
  EXPECT_EQ(verdict_of(Octets(0x10000, 0x23)), Verdict::drop_short);
  EXPECT_EQ(verdict_of(Octets(0xffff, 0x23)), Verdict::drop_extension)
      << "the longest that a UDP length can say";
}

// The shape that nearly all clients send is known by heart, one for each AEAD; octets behind the
// authenticator, which count for nothing, send the same packet the long way.
TEST(ReadRequest, P23_TheUsualShapeOfEveryAeadReadsAsItDoesFieldByField) {
  for (const tests::AeadSession& session : tests::all_sessions()) {
    const Octets usual = session.request();
    Octets longer = usual;
    longer.resize(usual.size() + 4);
    const nts::Request quick = nts::read_request(usual);
    const nts::Request slow = nts::read_request(longer);
    EXPECT_EQ(quick.verdict, Verdict::answer_nts);
    EXPECT_EQ(std::memcmp(&quick, &slow, sizeof quick), 0) << session.aead_of().name;
  }
}

}  // namespace
