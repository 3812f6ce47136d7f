/* Histories: of a segment whose accesses its cells cannot hold, the last one of each kind of each
 * task, as vector clocks. All are forgotten with the execution. */
#include "shadow.h"

#include <stdlib.h>
#include <string.h>

enum { WRITE_PLAIN, WRITE_ATOMIC, READ_PLAIN, READ_ATOMIC, READ_HINT, HISTORY_KINDS };

/* Of each kind of accesses there were: the clock of each task's last one, and where it was. */
static u32 *histories;
static u8 *kinds_in;                    /* a bit for each kind; the clocks of others mean nothing */
static u32 nr_histories, max_histories;

void histories_begin(void)
{
    nr_histories = 0;
}

void histories_stop(void)
{
    free(histories);
    free(kinds_in);
    histories = NULL;
    kinds_in = NULL;
    nr_histories = max_histories = 0;
}

static inline u64 history_words(void) { return 2ull * HISTORY_KINDS * clock_stride; }

static inline u32 *clocks_in(u32 history, u32 kind)
{
    return histories + history * history_words() + kind * clock_stride;
}

static inline u32 *sites_in(u32 history, u32 kind)
{
    return clocks_in(history, kind + HISTORY_KINDS);
}

static inline u32 kind_of(u32 site, bool writes)
{
    return writes ? WRITE_ATOMIC - (strength(site) == 2) : READ_HINT - strength(site);
}

static u32 new_history(void)
{
    if (nr_histories == max_histories) {
        max_histories = max_histories ? 2 * max_histories : 64;
        histories = realloc(histories, max_histories * history_words() * sizeof(u32));
        kinds_in = realloc(kinds_in, max_histories);
        if (!histories || !kinds_in)
            abort();
    }
    kinds_in[nr_histories] = 0;
    return nr_histories++;
}

u32 history_copy(u32 history)
{
    u32 copy = new_history();

    kinds_in[copy] = kinds_in[history];
    memcpy(clocks_in(copy, 0), clocks_in(history, 0), history_words() * sizeof(u32));
    return copy;
}

void history_remember(u32 history, u32 e, u32 site, bool writes)
{
    u32 kind = kind_of(site, writes);
    u32 *clocks = clocks_in(history, kind);

    if (e == 0)
        return;
    if (!(kinds_in[history] >> kind & 1))
        memset(clocks, 0, clock_stride * sizeof(u32));
    kinds_in[history] |= (u8)(1u << kind);
    clocks[task_of(e)] = e & CLOCK_MASK;
    sites_in(history, kind)[task_of(e)] = site;
}

/* The cells of a segment, plain and atomic, are not enough any more. */
void history_begin(struct cell *p, struct cell *c)
{
    u32 history = new_history();

    history_remember(history, p->w, p->w_site, true);
    history_remember(history, p->r, p->r_site, false);
    history_remember(history, c->w, c->w_site, true);
    history_remember(history, c->r, c->r_site, false);
    *p = (struct cell){ .r = HISTORY, .r_site = history };
    *c = (struct cell){ 0 };
}

static inline bool any_later(const u32 *at, const u32 *clock)
{
    u32 later = 0;

    for (u32 i = 0; i < clock_stride; i++)
        later |= (u32)((int)at[i] > (int)clock[i]);
    return later;
}

/* The rule for plain reads, as in shadow.h: what most memory is for that several tasks look at. */
bool history_read(u32 history, u32 task, u32 e, u32 site)
{
    u32 *clocks = clocks_in(history, READ_PLAIN), *sites = sites_in(history, READ_PLAIN);
    u32 kinds = kinds_in[history];

    if (!(kinds >> READ_PLAIN & 1)
            || (kinds >> WRITE_PLAIN & 1
                && any_later(clocks_in(history, WRITE_PLAIN), clock_of(task)))
            || (kinds >> WRITE_ATOMIC & 1
                && any_later(clocks_in(history, WRITE_ATOMIC), clock_of(task)))
            || is_news(task << CLOCK_BITS | clocks[task], sites[task], e, site))
        return false;
    clocks[task] = e & CLOCK_MASK;
    sites[task] = site;
    return true;
}

void history_access(struct cell *p, struct doing *d)
{
    u32 history = p->r_site, kind = kind_of(d->site, d->writes);
    u32 kinds = d->writes ? kinds_in[history] : kinds_in[history] & ((1u << READ_PLAIN) - 1);
    bool any = false;

    ASSERT(history < nr_histories);
    for (; kinds; kinds &= kinds - 1) {
        u32 k = (u32)__builtin_ctz(kinds);
        const u32 *at = clocks_in(history, k);
        bool later = any_later(at, d->before);

        for (u32 i = 0; later && i < clock_tasks; i++)
            if (at[i] > d->before[i])
                races_conflict(d, i << CLOCK_BITS | at[i], sites_in(history, k)[i],
                               k <= WRITE_ATOMIC);
        any |= later;
    }
    if (kinds_in[history] >> kind & 1
            && clocks_in(history, kind)[d->task] == (d->e & CLOCK_MASK))
        races_keep_one(&sites_in(history, kind)[d->task], d->site);
    else if (kind == WRITE_PLAIN && !any)       /* all is ordered before it */
        *p = (struct cell){ .w = d->e, .w_site = d->site };
    else
        history_remember(history, d->e, d->site, d->writes);
}
