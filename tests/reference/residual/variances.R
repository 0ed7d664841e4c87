#!/usr/bin/env Rscript
# Reference fits of nlme with variances that are powers, or differ between strata. Rscript variances.R OUTDIR
suppressPackageStartupMessages({ library(nlme); library(jsonlite) })
options(warn = -1, contrasts = c("contr.treatment", "contr.poly"))
out <- commandArgs(TRUE)[1]
ortho <- as.data.frame(Orthodont); ortho$Subject <- factor(as.character(ortho$Subject)); ortho$k <- as.integer(factor(ortho$age))
dia <- as.data.frame(Dialyzer); dia$Subject <- factor(as.character(dia$Subject)); dia$k <- dia$index
sets <- list(orthodont = ortho, dialyzer = dia[, c("Subject", "QB", "pressure", "rate", "k")])
write.csv(sets$dialyzer, file.path(out, "data", "dialyzer.csv"), row.names = FALSE)
M <- function(id, data, fixed, random = NULL, cor = NULL, var = NULL) list(id = id, data = data, fixed = fixed, random = random, correlation = cor, variance = var)
dd <- "rate ~ (pressure + I(pressure^2)) * QB"; oo <- "distance ~ age * Sex"
models <- list(
  M("dialyzer_ar1_power", "dialyzer", dd, cor = "corAR1(form = ~ k | Subject)", var = "varPower(form = ~ pressure)"),
  M("dialyzer_power_fitted", "dialyzer", dd, var = "varPower(form = ~ fitted(.))"),
  M("dialyzer_ar1_power_fitted", "dialyzer", dd, cor = "corAR1(form = ~ k | Subject)", var = "varPower()"),
  M("orthodont_ar1_sexvar", "orthodont", oo, cor = "corAR1(form = ~ k | Subject)", var = "varIdent(form = ~ 1 | Sex)"),
  M("orthodont_cs_sexvar", "orthodont", oo, cor = "corCompSymm(form = ~ k | Subject)", var = "varIdent(form = ~ 1 | Sex)"),
  M("orthodont_int_power_fitted", "orthodont", oo, random = "~ 1 | Subject", var = "varPower()"))
arr <- function(x) I(unname(x)); ev <- function(s) eval(parse(text = s))
fit1 <- function(m, method) {
  d <- sets[[m$data]]; f <- as.formula(m$fixed); co <- if (!is.null(m$correlation)) ev(m$correlation); va <- ev(m$variance)
  control <- list(maxIter = 500, msMaxIter = 1000, tolerance = 1e-12, msTol = 1e-14, opt = "nlminb", returnObject = TRUE)
  fit_with <- function(d, va) {
    if (is.null(m$random)) gls(f, d, correlation = co, weights = va, method = method, control = control)
    else lme(f, d, random = as.formula(m$random), weights = va, method = method, control = c(control, niterEM = 100))
  }
  fit <- fit_with(d, va); first <- logLik(fit)
  # nlme leaves its fitted values where its parameters change little: go on until they are those of the fit
  if (grepl("fitted|varPower\\(\\)", m$variance)) for (k in 1:100) {
    d$v <- unname(fitted(fit)); fit <- fit_with(d, varPower(form = ~ v))
    if (max(abs(log(fitted(fit) / d$v))) < 1e-9) break
  }
  b <- if (is.null(m$random)) coef(fit) else fixef(fit); X <- model.matrix(f, d)
  adj <- if (method == "REML") as.numeric(determinant(crossprod(X))$modulus) else 0
  list(method = method, logLik_nlme = as.numeric(logLik(fit)), logLik_first = as.numeric(first), log_det_XtX = adj, beta = list(names = arr(names(b)), values = arr(b)), se = arr(sqrt(diag(vcov(fit)))), sigma = fit$sigma,
    correlation = if (!is.null(co)) arr(coef(fit$modelStruct$corStruct, unconstrained = FALSE)), variance = as.list(coef(fit$modelStruct$varStruct, unconstrained = FALSE)))
}
res <- lapply(models, function(m) c(m, list(n = nrow(sets[[m$data]]), fits = lapply(c("REML", "ML"), function(k) fit1(m, k)))))
write_json(res, file.path(out, "variances.json"), digits = 15, auto_unbox = TRUE, null = "null", na = "null", pretty = 1)
