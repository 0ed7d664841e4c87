"""Programs in R: lme4, with the BLAS that R has and with OpenBLAS, glmmTMB, nlme, mmrm, `arima`.

R's own BLAS is the reference implementation, where nobody has chosen another one. OpenBLAS is
looked for where Debian's packages put it, and in the folder that OPENBLAS_FOLDER names.
"""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from benchmarks.model import RESPONSE
from benchmarks.worker import SHORTEST, WARM_ROWS

OPENBLAS = "OpenBLAS"
SCRIPT = Path(__file__).with_name("worker.R")
VERSIONS = """
tell <- function(name, value) cat(name, "\\t", value, "\\n", sep = "")
for (p in c("lme4", "glmmTMB", "nlme", "mmrm", "stats"))
  if (requireNamespace(p, quietly = TRUE)) tell(p, as.character(packageVersion(p)))
files <- basename(c(La_library(), extSoftVersion()[["BLAS"]]))
tell("R", paste(c(R.version.string, files), collapse = ", "))
"""
FAMILIES = {"gaussian": "gaussian()", "binomial": "binomial()", "poisson": "poisson()"}


def folder_of_openblas():
    """Where libblas.so.3 and liblapack.so.3 of OpenBLAS are, or None."""
    named = os.environ.get("OPENBLAS_FOLDER")
    folders = [Path(named)] if named else sorted(Path("/usr/lib").glob("*/openblas-*"))
    return next((f for f in folders if (f / "libblas.so.3").exists()), None)


def environment(blas):
    return {"R_LD_LIBRARY_PATH": str(folder_of_openblas())} if blas == OPENBLAS else {}


@cache
def what_r_has(blas=""):
    """Versions of the packages by name, and R's own with its LAPACK and BLAS; empty without R."""
    rscript = shutil.which("Rscript")
    if not rscript or (blas == OPENBLAS and folder_of_openblas() is None):
        return {}
    own = {**os.environ, **environment(blas)}
    run = subprocess.run(
        [rscript, "-e", VERSIONS], capture_output=True, text=True, check=False, env=own
    )
    return dict(line.split("\t") for line in run.stdout.splitlines())


class InR:
    """A package of R; `call` is the expression that fits, `found` those that read its result."""

    name: str
    package: str
    found = ""
    blas = ""

    def version(self):
        return what_r_has(self.blas).get(self.package)

    def takes(self, model):
        raise NotImplementedError

    def call(self, model):
        raise NotImplementedError

    def reading(self, model):
        """Expressions in R of the fixed effects, a list of covariances, the variance, and so on."""
        raise NotImplementedError

    def command(self, model, folder):
        fixed, covariances, variance, value = self.reading(model)
        labels = ", ".join(f'"{c}"' for c in model.labels)
        columns = ", ".join(f'"{c}"' for c in model.columns)
        times = f'"{model.time}"' if model.time else ""
        code = f"""
folder <- "{folder}"; columns <- c({columns}); labels <- c({labels}); times <- c({times})
package <- "{self.package}"; shortest <- {SHORTEST}; warm_rows <- {WARM_ROWS}
fit <- function(d) {self.call(model)}
fixed <- function(m) {fixed}
covariances <- function(m) {covariances}
variance <- function(m) {variance}
value <- function(m) {value}
{SCRIPT.read_text()}"""
        path = Path(folder) / f"{self.name}.R"
        path.write_text(code)
        return ["Rscript", str(path)], environment(self.blas)


class Lme4(InR):
    package = "lme4"

    def __init__(self, blas=""):
        self.blas = blas
        self.name = f"lme4, {blas}" if blas else "lme4"

    def takes(self, model):
        # With one factor there is little for a BLAS to do.
        is_asked = bool(model.terms) and not model.residual
        return is_asked and (len(model.terms) > 1 or not self.blas)

    def call(self, model):
        if model.is_linear:
            return f"lmer({model.formula}, d, REML = {str(model.reml).upper()})"
        return f"glmer({model.formula}, d, family = {FAMILIES[model.family]})"

    def reading(self, model):
        # A term with independent effects has an entry for each, named g and g.1.
        parts = ", ".join(f'of("{t.factor}")' for t in model.terms)
        covariances = f"""{{
  v <- VarCorr(m)
  of <- function(g) {{
    own <- v[sub("[.][0-9]+$", "", names(v)) == g]
    if (length(own) == 1) own[[1]] else diag(unlist(lapply(own, as.numeric)))
  }}
  list({parts})
}}"""
        variance = "sigma(m)^2" if model.is_linear else "NULL"
        return "fixef(m)", covariances, variance, "as.numeric(logLik(m))"


class GlmmTMB(InR):
    name = package = "glmmTMB"

    def takes(self, model):
        return bool(model.terms) and not model.residual

    def call(self, model):
        terms = [
            f"diag({' + '.join(('1', *t.slopes))} | {t.factor})" if t.independent else t.formula
            for t in model.terms
        ]
        formula = " + ".join([model.fixed_formula, *terms])
        reml = str(model.reml).upper()
        return f"glmmTMB({formula}, d, family = {FAMILIES[model.family]}, REML = {reml})"

    def reading(self, model):
        factors = ", ".join(f'"{f}"' for f in model.factors)
        variance = "sigma(m)^2" if model.is_linear else "NULL"
        return (
            "fixef(m)$cond",
            f"lapply(c({factors}), function(g) VarCorr(m)$cond[[g]])",
            variance,
            "as.numeric(logLik(m))",
        )


class Nlme(InR):
    """`lme`, and `gls` where there are no random effects."""

    name = package = "nlme"

    def takes(self, model):
        return model.is_linear and len(model.terms) <= 1 and bool(model.terms or model.residual)

    def call(self, model):
        method = "REML" if model.reml else "ML"
        parts = [model.fixed_formula, "d", f'method = "{method}"']
        if model.residual == "ar1":
            parts.append(f"correlation = corAR1(form = ~ {model.time} | {model.subject})")
        elif model.residual == "unstructured":
            parts.append(f"correlation = corSymm(form = ~ {model.time} | {model.subject})")
            parts.append(f"weights = varIdent(form = ~ 1 | {model.time})")
        if not model.terms:
            return f"gls({', '.join(parts)})"
        term = model.terms[0]
        effects = f"~ {' + '.join(('1', *term.slopes))}"
        random = f"list({term.factor} = pdDiag({effects}))"
        if not term.independent:
            random = f"{effects} | {term.factor}"
        return f"lme({', '.join([*parts, f'random = {random}'])})"

    def reading(self, model):
        value = "as.numeric(logLik(m))"
        if not model.terms:
            return "coef(m)", "list()", "NULL", value
        variance = "m$sigma^2" if model.is_plain else "NULL"
        return "fixef(m)", "list(unclass(getVarCov(m)))", variance, value


class Mmrm(InR):
    name = package = "mmrm"

    def takes(self, model):
        return model.residual == "unstructured" and not model.terms

    def call(self, model):
        formula = f"{model.fixed_formula} + us({model.time} | {model.subject})"
        return f"mmrm({formula}, d, reml = {str(model.reml).upper()})"

    def reading(self, model):
        del model
        return "coef(m)", "list()", "NULL", "as.numeric(logLik(m))"


class Arima(InR):
    """R's `arima`, of one series, by maximum likelihood."""

    name, package = "arima", "stats"

    def takes(self, model):
        return model.residual == "ar1" and not (model.terms or model.reml)

    def call(self, model):
        columns = ", ".join(f'"{c}"' for c in model.fixed)
        return f'arima(d${RESPONSE}, c(1, 0, 0), xreg = d[c({columns})], method = "ML")'

    def reading(self, model):
        del model
        return "coef(m)[-1]", "list()", "NULL", "as.numeric(logLik(m))"
