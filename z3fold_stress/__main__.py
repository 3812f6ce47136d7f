"""``python -m z3fold_stress`` is ``z3fold-stress``."""

from z3fold_stress.cli import main

if __name__ == "__main__":
    main()
