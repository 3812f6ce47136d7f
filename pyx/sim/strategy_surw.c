/* Selectively uniform random walk (SURW): Zhao, Wolff, Mathur and Roychoudhury, "Selectively
 * Uniform Concurrency Testing", ASPLOS 2025.
 *
 * Each execution is about one object, a word of memory or a lock; its operations are the
 * interesting events. A profile says how many of them each task has. One task is intended,
 * drawn with the number of interesting events that it has left as its weight; the others run
 * freely, by random priorities, until they come to an interesting event, and wait there. When
 * an interesting event is done the next task is drawn. Where nothing blocks, all interleavings
 * of the interesting events are equally likely.
 *
 * The object is drawn anew for each execution, weighted by its operations, among those that
 * two tasks or more touch and one writes. The paper's artefact does so too, except that there
 * half of the tasks must touch it, and locks are none.
 *
 * Departs from the paper: the profile is the most that was seen in several executions, which
 * go at random (profile.c). Where all that could go on waits at an interesting event the
 * intended task is one of these from then on; and when a task yields or spins it is drawn
 * anew, with all priorities. */
#include "sim.h"

#include <string.h>

enum {
    ROOM = 4096,                        /* objects; what comes when it is three quarters full */
    MOST = ROOM / 4 * 3,                /* is never interesting */
    NOBODY = SIM_TASKS,
};

static struct object {
    u64 word;
    u32 total;                          /* the sum of `most` */
    u32 seen_in;                        /* the profiling execution that `now` is of */
    u16 tasks;                          /* that touch it */
    bool written;
    u16 most[SIM_TASKS];                /* operations of each task, in one execution */
    u16 now[SIM_TASKS];
} object[ROOM], *known[MOST];
static u32 nr_known;

static struct profile profile;
static bool profiling;

static const struct object *interesting;        /* null: nothing is */
static u32 left[SIM_TASKS];                     /* interesting events of each task */
static u32 intended;
static u64 priority[SIM_TASKS];

static void forget(void)
{
    for (u32 i = 0; i < nr_known; i++)
        memset(known[i], 0, sizeof(*known[i]));
    nr_known = 0;
}

static struct object *object_of(u64 word)
{
    u32 i = (u32)(word * 0x9E3779B97F4A7C15ull >> 52) % ROOM;

    for (; object[i].total; i = (i + 1) % ROOM)
        if (object[i].word == word)
            return &object[i];
    if (nr_known == MOST)
        return NULL;
    object[i].word = word;
    known[nr_known++] = &object[i];
    return &object[i];
}

static void count(const struct sim_task *t)
{
    struct object *o = object_of(t->next.offset / 8);

    if (!o)
        return;
    if (o->seen_in != profile.done) {
        memset(o->now, 0, sizeof(o->now));
        o->seen_in = profile.done;
    }
    o->written |= t->next.writes;
    if (o->now[t->index] == UINT16_MAX || ++o->now[t->index] <= o->most[t->index])
        return;
    o->tasks += o->most[t->index]++ == 0;
    o->total++;
}

static u32 weight(const struct object *o)
{
    return o->tasks >= 2 && o->written ? o->total : 0;
}

static const struct object *draw_object(void)
{
    u32 all = 0, at;

    for (u32 i = 0; i < nr_known; i++)
        all += weight(known[i]);
    if (!all)
        return NULL;
    at = sim_random_below(all);
    for (u32 i = 0;; i++) {
        if (at < weight(known[i]))
            return known[i];
        at -= weight(known[i]);
    }
}

static void prepare(void) { }

static bool begin(void)
{
    bool fresh;

    profiling = profile_begin(&profile, 1, &fresh);
    if (fresh)
        forget();
    intended = NOBODY;
    interesting = profiling ? NULL : draw_object();
    for (u32 i = 0; i < run.nr_tasks; i++) {
        left[i] = interesting ? interesting->most[i] : 0;
        priority[i] = sim_random();
    }
    return true;
}

static bool is_interesting(const struct sim_task *t)
{
    return interesting && t->next.size && t->next.offset / 8 == interesting->word;
}

/* Of these tasks, each as likely as what it has left; where that is nothing, `least`. */
static u32 draw(const u8 *tasks, u32 n, u32 least)
{
    u32 all = 0, at;

    for (u32 i = 0; i < n; i++)
        all += left[tasks[i]] > least ? left[tasks[i]] : least;
    if (!all)
        return NOBODY;
    at = sim_random_below(all);
    for (u32 i = 0;; i++) {
        u32 share = left[tasks[i]] > least ? left[tasks[i]] : least;

        if (at < share)
            return tasks[i];
        at -= share;
    }
}

static u32 draw_of_all(void)
{
    u8 list[SIM_TASKS];
    u32 n = 0;

    for (u32 i = 0; i < run.nr_tasks; i++)
        if (run.task[i].state == TASK_WAITING)
            list[n++] = (u8)i;
    return draw(list, n, 0);
}

static u32 choose(const u8 *enabled, u32 n, int running)
{
    u32 found = n;

    (void)running;
    if (profiling)
        return sim_random_below(n);
    if (intended == NOBODY || !left[intended] || run.task[intended].state != TASK_WAITING)
        intended = draw_of_all();
    for (u32 i = 0; i < n; i++)
        if ((enabled[i] == intended || !is_interesting(&run.task[enabled[i]]))
                && (found == n || priority[enabled[i]] > priority[enabled[found]]))
            found = i;
    if (found < n)
        return found;
    intended = draw(enabled, n, 1);
    for (found = 0; enabled[found] != intended; found++)
        ;
    return found;
}

static void executed(u32 task)
{
    const struct sim_task *t = &run.task[task];

    if (profiling) {
        if (t->next.size)
            count(t);
        return;
    }
    priority[task] = sim_random();
    if (is_interesting(t)) {
        left[task] -= left[task] != 0;
        intended = NOBODY;
    } else if (t->next.kind == POINT_YIELD) {
        intended = NOBODY;
        for (u32 i = 0; i < run.nr_tasks; i++)
            priority[i] = sim_random();
    }
}

const struct strategy strategy_surw = {
    "surw", prepare, begin, choose, sim_decide_at_random, executed, NULL, NULL,
};
