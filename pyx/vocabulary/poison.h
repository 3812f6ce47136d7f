/* What is left where something was. */
#ifndef Z3F_VOCABULARY_POISON_H
#define Z3F_VOCABULARY_POISON_H

enum {
    POISON_BYTE = 0x6b,                 /* freed frames and slots, as the kernel's POISON_FREE */
    POISON32 = 0x6b6b6b6b,
};

#define POISON 0x6b6b6b6b6b6b6b6bull
#define LIST_POISON1 0x5b5b5b5b5b5b0100ull      /* what list_del leaves in next */
#define LIST_POISON2 0x5b5b5b5b5b5b0200ull      /* and in prev */

#endif
