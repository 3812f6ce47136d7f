/* The strategies, a line each: STRATEGY(name) is strategy_name, of sim/strategy_name.c. Included
 * where STRATEGY is defined. */
STRATEGY(random)
STRATEGY(pct)
STRATEGY(pos)
STRATEGY(surw)
STRATEGY(dfs)
STRATEGY(dpor)
STRATEGY(replay)
