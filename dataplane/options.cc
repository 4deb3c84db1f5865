#include "dataplane/options.h"

#include <charconv>
#include <optional>
#include <span>

namespace dataplane {
namespace {

constexpr unsigned wait_s_max = 3600;

std::optional<unsigned> number_of(std::string_view text) {
  unsigned number = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stopped != end) return std::nullopt;
  return number;
}

// "keeper=62101,clock=62103,admin=62105", each once, in any order.
Writers parse_writers(std::string_view text) {
  std::optional<unsigned> keeper;
  std::optional<unsigned> clock;
  std::optional<unsigned> admin;
  const std::string whole(text);
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view pair = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
    const std::size_t equals = pair.find('=');
    const std::string_view name = pair.substr(0, equals);
    const auto uid = equals == std::string_view::npos ? std::nullopt : number_of(pair.substr(equals + 1));
    std::optional<unsigned>* role = name == "keeper"  ? &keeper
                                    : name == "clock" ? &clock
                                    : name == "admin" ? &admin
                                                      : nullptr;
    if (role == nullptr || !uid || role->has_value()) {
      throw OptionsError("--uids \"" + whole + "\" is not keeper=UID,clock=UID,admin=UID");
    }
    *role = uid;
  }
  if (!keeper || !clock || !admin) throw OptionsError("--uids needs keeper=UID, clock=UID and admin=UID");
  return {*keeper, *clock, *admin};
}

}  // namespace

const std::string_view usage =
    "noonmark-dataplane --pages DIR --uids keeper=UID,clock=UID,admin=UID [--wait-s N]\n"
    "\n"
    "Answers NTP and NTS on the devices that the settings page names, until SIGTERM or SIGINT.\n"
    "  --pages DIR   the page directory, for example /run/noonmark\n"
    "  --uids LIST   which user must own the keys, clock and settings pages\n"
    "  --wait-s N    wait up to N seconds for the settings page (default 0)\n"
    "Exit: 0 stopped by signal, 1 this machine or its settings do not allow to serve, 2 wrong usage.\n"
    "`noonmark run` and the systemd units start it with the right words.\n";

Options parse_options(int count, const char* const* words) {
  Options options;
  bool has_writers = false;
  const std::span<const char* const> all(words, static_cast<std::size_t>(count));
  for (std::size_t i = 1; i < all.size(); ++i) {
    const std::string_view word = all[i];
    if (word == "--help" || word == "-h") {
      options.help = true;
      return options;
    }
    if (word != "--pages" && word != "--uids" && word != "--wait-s") {
      throw OptionsError("\"" + std::string(word) + "\" is no option of noonmark-dataplane; try --help");
    }
    if (i + 1 == all.size()) throw OptionsError(std::string(word) + " needs a value; try --help");
    const std::string_view value = all[++i];
    if (word == "--pages") {
      options.pages = value;
    } else if (word == "--uids") {
      options.writers = parse_writers(value);
      has_writers = true;
    } else {
      const std::optional<unsigned> seconds = number_of(value);
      if (!seconds || *seconds > wait_s_max) {
        throw OptionsError("--wait-s takes seconds from 0 to " + std::to_string(wait_s_max));
      }
      options.wait_s = *seconds;
    }
  }
  if (options.pages.empty()) throw OptionsError("--pages DIR is missing; try --help");
  if (!has_writers) throw OptionsError("--uids LIST is missing; try --help");
  return options;
}

}  // namespace dataplane
