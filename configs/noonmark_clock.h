/* Noonmark's time and its error bound for programs on the same machine: copy this file, it needs nothing else.
 *
 *     struct noonmark_clock clock;
 *     struct noonmark_interval now;
 *     if (noonmark_clock_open(&clock, NOONMARK_CLOCK_PAGE) != 0) perror(NOONMARK_CLOCK_PAGE);
 *     if (noonmark_clock_now(&clock, &now) == NOONMARK_CLOCK_TRUE) use(now.earliest_ns, now.latest_ns);
 *     noonmark_clock_close(&clock);
 *
 * True time lies in [earliest_ns, latest_ns], with the certainty that `noonmark clock` states. Order two events on
 * two machines only when their intervals do not touch. Nothing here asks a daemon: the clock role writes a page of
 * shared memory, any program reads it, and neither waits for the other. The bound grows by itself when nobody writes
 * any more, and ends in NOONMARK_CLOCK_STALE.
 *
 * C99 or C++, gcc or clang, x86-64, Linux. It needs POSIX 2008: a compiler that is told -std=c99 or -std=c11, and not
 * gnu99 or gnu11, shows that only when this file comes before all others, or with -D_POSIX_C_SOURCE=200809L. A
 * `struct noonmark_clock` belongs to one thread. The layout is that of dataplane/shm/README.md; a page of another
 * layout is refused, and this file is then too old or too new.
 */
#ifndef NOONMARK_CLOCK_H
#define NOONMARK_CLOCK_H

#if !defined(__x86_64__)
#error "noonmark_clock.h reads the TSC and multiplies 64 by 64 bits: compile for x86-64"
#endif

#if defined(__STRICT_ANSI__) && !defined(_POSIX_C_SOURCE) && !defined(_DEFAULT_SOURCE) && !defined(_GNU_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#if !defined(O_CLOEXEC) || !defined(O_NOFOLLOW) || !defined(CLOCK_REALTIME)
#error "noonmark_clock.h needs POSIX 2008: include it first, or compile with -D_POSIX_C_SOURCE=200809L"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define NOONMARK_CLOCK_PAGE "/run/noonmark/clock/clock"

/* What noonmark_clock_now() returns. */
enum noonmark_clock_result {
  NOONMARK_CLOCK_TRUE = 0,           /* the interval holds */
  NOONMARK_CLOCK_UNSYNCHRONISED = 1, /* the server itself does not know the time: no interval */
  NOONMARK_CLOCK_STALE = 2,          /* nobody renewed the page until its promise ended, or the TSC was set back */
  NOONMARK_CLOCK_NO_PAGE = 3         /* nothing was published yet, or the page is not of this layout */
};

/* Where the time comes from just now. */
enum noonmark_clock_status {
  NOONMARK_CLOCK_UNKNOWN = 0,
  NOONMARK_CLOCK_LOCKED = 1,   /* follows its source */
  NOONMARK_CLOCK_HOLDOVER = 2, /* the source is gone: the oscillator alone, with a growing bound */
  NOONMARK_CLOCK_FALLBACK = 3, /* follows other servers, with their bound */
  NOONMARK_CLOCK_LOCAL = 4     /* a laboratory's clock, declared true by its configuration */
};

struct noonmark_interval {
  int64_t earliest_ns;    /* UTC, nanoseconds since 1970 without leap seconds */
  int64_t latest_ns;      /* the same; the middle is the best estimate */
  int64_t bound_ns;       /* half of the interval */
  uint64_t tsc;           /* the counter's value that the interval is for */
  uint64_t step_count;    /* rises whenever the served time was stepped */
  int32_t tai_minus_utc_s; /* 0: not known */
  int leap;               /* 0 none, 1 this month ends with 23:59:60, 2 without 23:59:59 */
  enum noonmark_clock_status status;
};

/* The published state, as it lies in the page (native byte order). Only noonmark_clock_now() needs to know it. */
struct noonmark_clock_state {
  uint64_t tsc0, ntp0, mult, tsc_hz, valid_until, reference_ntp, root_delay_ns, dispersion0_ns, dispersion_rate_ppb,
      step_count;
  uint32_t state, source, leap, stratum, reference_id;
  int32_t precision, tai_minus_utc_s;
  uint32_t reserved;
  char source_name[32];
  uint64_t smear[8]; /* what smeared addresses are served; this interval is never smeared */
  uint64_t mono[4];  /* for NTP's clients: a line at the same rate that is never corrected */
};

struct noonmark_clock {
  const unsigned char *page; /* NULL: not open */
  int has_state;
  int is_void;         /* until the next publication: after a TSC that was set back, the good range comes by again */
  uint64_t generation; /* of `state`; 0: none */
  uint64_t looked_tsc; /* when the path was last compared with what is mapped */
  uint64_t newest_tsc; /* of the intervals that `state` was asked for */
  dev_t device;
  ino_t inode;
  struct noonmark_clock_state state; /* the last that was read whole */
  char path[256];
};

enum {
  noonmark_clock_layout = 7,
  noonmark_clock_kind = 2,
  noonmark_clock_generation_at = 24,
  noonmark_clock_state_at = 32,
  noonmark_clock_state_bytes = sizeof(struct noonmark_clock_state),
  noonmark_clock_page_bytes = noonmark_clock_state_at + noonmark_clock_state_bytes
};

/* Maps the page at clock->path. 0, or -1 with errno (EPROTO: not a clock page of this layout). */
static inline int noonmark_clock_map(struct noonmark_clock *clock) {
  static const char magic[] = "noonmark";
  struct stat status;
  uint32_t layout, kind;
  uint64_t bytes;
  void *page;
  int saved;
  const int file = open(clock->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) return -1;
  if (fstat(file, &status) != 0 || status.st_size < noonmark_clock_page_bytes) {
    close(file);
    errno = EPROTO;
    return -1;
  }
  page = mmap(NULL, noonmark_clock_page_bytes, PROT_READ, MAP_SHARED, file, 0);
  saved = errno;
  close(file);
  if (page == MAP_FAILED) {
    errno = saved;
    return -1;
  }
  memcpy(&layout, (const char *)page + 8, sizeof layout);
  memcpy(&kind, (const char *)page + 12, sizeof kind);
  memcpy(&bytes, (const char *)page + 16, sizeof bytes);
  if (memcmp(page, magic, 8) != 0 || layout != noonmark_clock_layout || kind != noonmark_clock_kind ||
      bytes != noonmark_clock_page_bytes) {
    munmap(page, noonmark_clock_page_bytes);
    errno = EPROTO;
    return -1;
  }
  if (clock->page != NULL) munmap((void *)(uintptr_t)clock->page, noonmark_clock_page_bytes);
  clock->page = (const unsigned char *)page;
  clock->generation = 0; /* another page counts its own */
  clock->device = status.st_dev;
  clock->inode = status.st_ino;
  return 0;
}

/* 0, or -1 with errno: ENOENT (no server runs), EACCES, ENAMETOOLONG, EPROTO (not a clock page of this layout). */
static inline int noonmark_clock_open(struct noonmark_clock *clock, const char *path) {
  memset(clock, 0, sizeof *clock);
  if (strlen(path) >= sizeof clock->path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(clock->path, path, strlen(path) + 1);
  return noonmark_clock_map(clock);
}

static inline void noonmark_clock_close(struct noonmark_clock *clock) {
  if (clock->page != NULL) munmap((void *)(uintptr_t)clock->page, noonmark_clock_page_bytes);
  clock->page = NULL;
  clock->has_state = 0;
}

/* Copies the state when it is whole. A writer that is at work, or died at it, leaves us what we had. */
static inline void noonmark_clock_read(struct noonmark_clock *clock) {
  enum { tries = 100, words = noonmark_clock_state_bytes / 8 };
  const uint64_t *generation = (const uint64_t *)(const void *)(clock->page + noonmark_clock_generation_at);
  const uint64_t *from = (const uint64_t *)(const void *)(clock->page + noonmark_clock_state_at);
  uint64_t copy[words];
  int i, turn;
  for (turn = 0; turn < tries; ++turn) {
    const uint64_t before = __atomic_load_n(generation, __ATOMIC_ACQUIRE);
    if (before == 0 || before == clock->generation) return;
    if (before % 2 != 0) continue;
    for (i = 0; i < words; ++i) copy[i] = __atomic_load_n(from + i, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* the copy comes before the second look */
    if (__atomic_load_n(generation, __ATOMIC_RELAXED) != before) continue;
    memcpy(&clock->state, copy, sizeof clock->state);
    clock->generation = before;
    clock->newest_tsc = clock->state.tsc0;
    clock->has_state = 1;
    clock->is_void = 0;
    return;
  }
}

/* NTP units (2^-32 s since 1900, modulo an era) to nanoseconds since 1970, in the era nearest to the host's clock. */
static inline int64_t noonmark_clock_unix_ns(uint64_t ntp) {
  const uint32_t unix_to_ntp_s = 2208988800U;
  struct timespec host;
  uint32_t pivot_s, distance;
  int64_t seconds;
  clock_gettime(CLOCK_REALTIME, &host);
  pivot_s = (uint32_t)((uint64_t)host.tv_sec + unix_to_ntp_s);
  distance = (uint32_t)(ntp >> 32) - pivot_s;
  seconds = (int64_t)host.tv_sec + (int64_t)(int32_t)distance;
  return seconds * 1000000000 + (int64_t)(((ntp & 0xffffffffU) * 1000000000U) >> 32);
}

/* The interval that true time lies in now. Fills `now` when the result is NOONMARK_CLOCK_TRUE; otherwise `now` is
 * zeros but for `tsc`. About 50 ns; a stat(2) of the page's path once a second, so that a restarted server is found. */
static inline enum noonmark_clock_result noonmark_clock_now(struct noonmark_clock *clock,
                                                            struct noonmark_interval *now) {
  __extension__ typedef __int128 wide;
  struct noonmark_clock_state *s = &clock->state;
  struct stat status;
  uint64_t tsc, ntp;
  int64_t ticks, middle;
  wide bound;
  memset(now, 0, sizeof *now);
  _mm_lfence();
  tsc = now->tsc = __rdtsc();
  if (clock->path[0] != '\0' && (!clock->has_state || tsc - clock->looked_tsc > s->tsc_hz)) {
    clock->looked_tsc = tsc;
    if (clock->page == NULL || (stat(clock->path, &status) == 0 &&
                                (status.st_ino != clock->inode || status.st_dev != clock->device)))
      (void)noonmark_clock_map(clock); /* what cannot be mapped leaves us the old page, which ends by itself */
  }
  if (clock->page == NULL) return NOONMARK_CLOCK_NO_PAGE;
  noonmark_clock_read(clock);
  if (!clock->has_state || s->tsc_hz == 0) return NOONMARK_CLOCK_NO_PAGE;
  if ((int64_t)(tsc - s->valid_until) > 0 || (int64_t)(clock->newest_tsc - tsc) > (int64_t)s->tsc_hz)
    clock->is_void = 1;
  clock->newest_tsc = tsc;
  if (clock->is_void) return NOONMARK_CLOCK_STALE;
  if (s->leap == 3 || s->stratum == 0 || s->stratum > 15) return NOONMARK_CLOCK_UNSYNCHRONISED;
  ticks = (int64_t)(tsc - s->tsc0);
  ntp = s->ntp0 + (uint64_t)((wide)ticks * (wide)s->mult >> 60);
  /* Dispersion grown since tsc0 and half of the root delay, each rounded up, and one more for this conversion. */
  bound = (wide)s->dispersion0_ns + s->root_delay_ns / 2 + s->root_delay_ns % 2 + 1;
  if (ticks > 0) bound += ((wide)ticks * s->dispersion_rate_ppb + s->tsc_hz - 1) / s->tsc_hz;
  if (bound > INT64_MAX / 4) return NOONMARK_CLOCK_UNSYNCHRONISED; /* 73 years: nobody's bound */
  middle = noonmark_clock_unix_ns(ntp);
  now->bound_ns = (int64_t)bound;
  now->earliest_ns = middle - now->bound_ns;
  now->latest_ns = middle + now->bound_ns;
  now->step_count = s->step_count;
  now->tai_minus_utc_s = s->tai_minus_utc_s;
  now->leap = (int)s->leap;
  switch (s->state) {
    case 2: now->status = NOONMARK_CLOCK_LOCKED; break;
    case 3: now->status = NOONMARK_CLOCK_HOLDOVER; break;
    case 4: now->status = NOONMARK_CLOCK_FALLBACK; break;
    case 6: now->status = NOONMARK_CLOCK_LOCAL; break;
    default: now->status = NOONMARK_CLOCK_UNKNOWN; break;
  }
  return NOONMARK_CLOCK_TRUE;
}

#ifdef __cplusplus
}
#endif

#endif
