// A settings page with anything written over it: taken whole or refused whole, and the addresses served are
// exactly those it names.
#include <algorithm>
#include <cstring>
#include <memory>

#include "dataplane/service.h"
#include "tests/fuzz/target.h"
#include "tests/support/frame_builder.h"

namespace fuzz {
namespace {

shm::Settings good_settings() {
  shm::Settings good{};
  good.revision = 1;
  good.ntp_port = 123;
  good.device_count = good.core_count = 1;
  good.answer_plain = good.answer_nts = 1;
  std::strcpy(good.devices[0], "af_packet:eth0");
  good.address_count = 2;
  good.addresses[0] = tests::address_of(tests::server_ipv4);
  good.addresses[1] = tests::address_of(tests::server_ipv6);
  return good;
}

void require_addresses(const dataplane::Addresses& served, const shm::Settings& settings) {
  for (std::uint32_t i = 0; i < settings.address_count; ++i) {
    const shm::Address& address = settings.addresses[i];
    if (address.family == 4) {
      require(served.serves_ipv4(address.octets), "an IPv4 address on the page is served");
      require(!served.may_answer_ipv4(address.octets), "we never answer ourselves");
    } else {
      require(served.serves_ipv6(address.octets), "an IPv6 address on the page is served");
      require(!served.may_answer_ipv6(address.octets, address.octets), "we never answer ourselves");
    }
  }
}

void run(Input input) {
  Reader reader(input);
  const Octets stranger = [&] {
    Octets octets = reader.take(16);
    octets.resize(16);
    return octets;
  }();
  const auto page = std::make_unique<shm::SettingsPage>();
  dataplane::Service service;
  page->settings.publish(good_settings());
  require(service.refresh(page.get()) && service.local().ntp_port == 123, "good settings are taken");
  patch({reinterpret_cast<std::uint8_t*>(page.get()), sizeof *page}, reader);
  const bool is_taken = service.refresh(page.get());
  shm::Settings settings{};
  std::uint64_t generation = 0;
  const bool is_read = page->settings.read(settings, generation);
  if (is_taken) require(is_read && dataplane::is_valid(settings), "only whole and valid settings are taken");
  if (!is_taken) settings = good_settings();
  const dataplane::Local& local = service.local();
  require(local.ntp_port == settings.ntp_port && local.ntp_port != 0, "the page's port");
  require(service.departure_ns() == settings.departure_ns, "the page's departure");
  require_addresses(local.addresses, settings);
  const auto is_named = [&](std::uint8_t family, std::size_t bytes) {
    return std::any_of(
        settings.addresses, settings.addresses + settings.address_count, [&](const shm::Address& one) {
          return one.family == family && std::equal(one.octets, one.octets + bytes, stranger.begin());
        });
  };
  require(local.addresses.serves_ipv4(stranger.data()) == is_named(4, 4), "no other IPv4 address is served");
  require(local.addresses.serves_ipv6(stranger.data()) == is_named(6, 16), "no other IPv6 address is served");
}

std::vector<Octets> seeds() {
  constexpr std::size_t generation_offset = sizeof(shm::PageHeader);
  constexpr std::size_t settings_offset = generation_offset + 8;
  // The generation rises by two, so that the page reads as published anew.
  const auto at = [](std::size_t field, const Octets& octets) {
    Octets made(16, 9);
    for (const Octets& one : {patch_of(generation_offset, {4}), patch_of(settings_offset + field, octets)}) {
      made.insert(made.end(), one.begin(), one.end());
    }
    return made;
  };
  return {at(offsetof(shm::Settings, address_count), {3}),
          at(offsetof(shm::Settings, addresses) + 48, {4, 24, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9}),
          at(offsetof(shm::Settings, ntp_port), {0, 0}),
          at(offsetof(shm::Settings, ntp_port), {1, 16}),
          at(offsetof(shm::Settings, devices), Octets(255, 'x')),
          at(offsetof(shm::Settings, core_count), {65}),
          at(offsetof(shm::Settings, addresses), {4, 33})};
}

const Registration registration({"settings_page", run, seeds});

}  // namespace
}  // namespace fuzz
