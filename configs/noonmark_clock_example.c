/* Prints the interval that true time lies in, once or COUNT times a second apart:
 *
 *     cc -std=gnu11 -o clock_example noonmark_clock_example.c && ./clock_example [PAGE [COUNT]]
 *
 * Exit code: that of the last look, as in enum noonmark_clock_result; 10 when there is no page. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "noonmark_clock.h"

int main(int count, char **words) {
  static const char *const why[] = {"", "the server does not know the time", "nobody renews the page any more",
                                    "nothing was published yet"};
  static const char *const status[] = {"unknown", "locked", "holdover", "fallback", "local"};
  const char *page = count > 1 ? words[1] : NOONMARK_CLOCK_PAGE;
  long left = count > 2 ? strtol(words[2], NULL, 10) : 1;
  enum noonmark_clock_result result = NOONMARK_CLOCK_NO_PAGE;
  struct noonmark_clock clock;
  struct noonmark_interval now;
  if (noonmark_clock_open(&clock, page) != 0) {
    perror(page);
    return 10;
  }
  for (; left > 0; --left) {
    result = noonmark_clock_now(&clock, &now);
    if (result == NOONMARK_CLOCK_TRUE)
      printf("%" PRId64 " %" PRId64 " ns of UTC since 1970, +-%" PRId64 " ns, %s\n", now.earliest_ns, now.latest_ns,
             now.bound_ns, status[now.status]);
    else
      printf("no interval: %s\n", why[result]);
    fflush(stdout);
    if (left > 1) sleep(1);
  }
  noonmark_clock_close(&clock);
  return (int)result;
}
