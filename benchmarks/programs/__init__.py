"""The programs that are compared: what each can fit, how, and where its estimates are.

A further program is a class with `name`, `version`, `takes` and `command` (see `program.py`), and
an entry in `PROGRAMS`.
"""

from benchmarks.programs.compiled import Glmm, LmePython, MixedlmRs, MixedlmRust
from benchmarks.programs.in_python import GPBoost, Merf, Statsmodels
from benchmarks.programs.in_r import OPENBLAS, Arima, GlmmTMB, Lme4, Mmrm, Nlme
from benchmarks.programs.own import Skmixed, WithoutGroups

OWN, BASE = "skmixed", "without groups"
PROGRAMS = {
    program.name: program
    for program in (
        Skmixed(),
        WithoutGroups(),
        Lme4(),
        Lme4(OPENBLAS),
        GlmmTMB(),
        Nlme(),
        Mmrm(),
        Arima(),
        Statsmodels(),
        GPBoost(),
        Merf(),
        MixedlmRust(),
        MixedlmRs(),
        LmePython(),
        Glmm(),
    )
}
