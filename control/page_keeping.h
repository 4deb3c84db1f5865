// A role's page stays where readers look for it.
//
// A running dataplane has the page mapped and needs no file; one that starts later does. So a page whose file
// was deleted, replaced or shut to its readers is made anew while its writer still knows what it held: else
// the next dataplane would serve without keys, or not at all, until that writer is started anew.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <string>

#include "control/log.h"
#include "control/role_loop.h"
#include "dataplane/shm/segment.h"

namespace control {

constexpr std::chrono::milliseconds page_look_interval{500};

// For ever, every `interval`. What keeps the file from being made is said once. Throws shm::CutPageError,
// which is to end the role.
template <class Page>
[[nodiscard]] boost::asio::awaitable<void> keep_page(
    boost::asio::io_context& io, shm::Segment<Page>& page,
    std::chrono::milliseconds interval = page_look_interval) {
  boost::asio::steady_timer timer(io);
  std::string told;
  for (;;) {
    boost::system::error_code error;
    timer.expires_after(interval);
    co_await timer.async_wait(no_throw(error));
    if (error) co_return;
    try {
      if (page.put_back())
        log(Severity::warning, "a page was gone or shut to its readers, and is made again");
      told.clear();
    } catch (const shm::CutPageError&) {
      throw;
    } catch (const shm::SegmentError& trouble) {
      if (told != trouble.what()) log(Severity::error, trouble.what());
      told = trouble.what();
    }
  }
}

}  // namespace control
