# Tests of single terms that are left out of generalized models: drop1(test = "Chisq") of glmmTMB,
# and of glmer where it fits the family, and car's Anova(type = 2) of glmmTMB, whose covariance is by exact
# derivatives, for models of ../generalized. Run in this directory with
# `Rscript generalized.R`; writes generalized.json.
suppressPackageStartupMessages({library(lme4); library(glmmTMB); library(car); library(jsonlite)})
options(contrasts = c("contr.treatment", "contr.poly"))
models <- list(
  cbpp = list("cbpp", "cbind(incidence, healthy) ~ period + (1 | herd)", "binomial"),
  bacteria = list("bacteria", "y01 ~ trt + late + (1 | ID)", "binomial"),
  epil = list("epil", "y ~ lbase * trt + lage + period4 + (1 | subject)", "poisson"),
  epil_negbin = list("epil", "y ~ lbase * trt + lage + period4 + (1 | subject)", "nbinom2"),
  clinics = list("clinics", "cbind(healed, trials - healed) ~ x * sex + dose + (1 | clinic)", "binomial"),
  clinics_gamma = list("clinics", "cost ~ x * dose + sex + (1 | clinic)", "Gamma"),
  without_intercept = list("clinics", "events ~ 0 + dose + sex + x + (1 | clinic)", "poisson"))
factors <- list(cbpp = c("period", "herd"), bacteria = c("trt", "ID"), epil = c("trt", "subject"),
                clinics = c("clinic", "ward", "dose", "sex"))
family_of <- function(name)
  switch(name, Gamma = Gamma(link = "log"), nbinom2 = nbinom2(), get(name)())
table_of <- function(x) list(terms = I(rownames(x)), df = I(x[[1]]), aic = I(x$AIC),
                             statistic = I(x$LRT), p_value = I(x[[4]]))
found <- lapply(models, function(spec) {
  d <<- read.csv(file.path("../generalized/data", paste0(spec[[1]], ".csv")))
  for (name in factors[[spec[[1]]]]) d[[name]] <<- factor(d[[name]])
  f <- as.formula(spec[[2]]); own <- family_of(spec[[3]])
  m <- do.call(glmmTMB, list(formula = f, data = quote(d), family = own,
    control = quote(glmmTMBControl(optCtrl = list(iter.max = 1e4, eval.max = 1e4, rel.tol = 1e-14)))))
  out <- list(data = spec[[1]], formula = spec[[2]], family = spec[[3]],
              factors = I(factors[[spec[[1]]]]), log_likelihood = as.numeric(logLik(m)),
              glmmTMB = table_of(drop1(m, test = "Chisq")))
  type_2 <- Anova(m, type = 2)
  out$car <- list(terms = I(rownames(type_2)), chi2 = I(type_2$Chisq), df = I(type_2$Df),
                  p_value = I(type_2[[3]]))
  if (spec[[3]] %in% c("binomial", "poisson")) {
    g <- do.call(glmer, list(formula = f, data = quote(d), family = own,
      control = quote(glmerControl("bobyqa", optCtrl = list(maxfun = 1e6, rhoend = 1e-9)))))
    out$glmer <- table_of(drop1(g, test = "Chisq"))
  }
  out
})
out <- list(source = paste("lme4", packageVersion("lme4"), "glmmTMB", packageVersion("glmmTMB"),
                           "car", packageVersion("car")),
            models = found)
writeLines(toJSON(out, auto_unbox = TRUE, digits = NA, na = "null"), "generalized.json")
