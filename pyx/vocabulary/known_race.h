/* Races that are meant, each by its reason (data_race): listed, counted, reported. */
#ifndef Z3F_VOCABULARY_KNOWN_RACE_H
#define Z3F_VOCABULARY_KNOWN_RACE_H

enum known_race {
    RACE_OBJECT_ID,
    /* "reclaim peeks at an object's number in a payload that its owner may be writing; the number
       is only a guess, and is checked with a reference to the object taken" */
    NR_KNOWN_RACES,
};

#endif
