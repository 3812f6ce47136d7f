/* Why migration did not get on. */
#ifndef Z3F_VOCABULARY_MIGRATION_H
#define Z3F_VOCABULARY_MIGRATION_H

/* Why a migration attempt said -EAGAIN or -EBUSY. */
enum reason {
    REASON_PG_LOCK_OLD,                 /* EAGAIN: the old page's descriptor was locked */
    REASON_PG_LOCK_NEW,                 /* EAGAIN: the new page's descriptor was locked */
    REASON_PG_LOCK_TWICE,               /* EAGAIN: the callback tried a lock its caller holds */
    REASON_PAGE_LOCK,                   /* EAGAIN: somebody held the page lock */
    REASON_COMPACTING,                  /* EAGAIN: a compaction of the page is queued */
    REASON_MAPPED,                      /* EBUSY: the page is mapped */
    REASON_NO_TARGET,                   /* ENOMEM: no target page */
    NR_REASONS,
};

/* Why a page could not be isolated. */
enum refusal {
    REFUSED_GONE,                       /* the page was free, or being freed */
    REFUSED_NOT_MOVABLE,
    REFUSED_PG_LOCK,
    REFUSED_ISOLATED,
    REFUSED_HEADLESS,
    REFUSED_COMPACTING,
    REFUSED_STALE,
    REFUSED_CLAIMED,
    REFUSED_MAPPED,
    REFUSED_DESTROYING,
    NR_REFUSALS,
};

#endif
