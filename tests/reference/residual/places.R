#!/usr/bin/env Rscript
# Reference fits of nlme with correlations by the distance of places in the plane. Rscript places.R OUTDIR
suppressPackageStartupMessages({ library(nlme); library(jsonlite) })
options(warn = -1, contrasts = c("contr.treatment", "contr.poly"))
out <- commandArgs(TRUE)[1]
wheat <- as.data.frame(Wheat2); wheat$Block <- factor(as.character(wheat$Block)); wheat$variety <- as.character(wheat$variety); wheat$field <- "one"
write.csv(wheat, file.path(out, "data", "wheat.csv"), row.names = FALSE)
M <- function(id, cor) list(id = id, correlation = cor)
models <- list(
  M("exponential_block", "corExp(form = ~ latitude + longitude | Block)"),
  M("exponential_field", "corExp(form = ~ latitude + longitude | field)"),
  M("gaussian_block", "corGaus(form = ~ latitude + longitude | Block)"))
arr <- function(x) I(unname(x)); ev <- function(s) eval(parse(text = s))
fit1 <- function(m, method) {
  control <- list(maxIter = 500, msMaxIter = 1000, tolerance = 1e-12, msTol = 1e-14)
  f <- yield ~ variety
  fit <- gls(f, wheat, correlation = ev(m$correlation), method = method, control = control)
  b <- coef(fit)
  list(method = method, logLik = as.numeric(logLik(fit)), beta = arr(b), se = arr(sqrt(diag(vcov(fit)))), sigma = fit$sigma,
    range = as.numeric(coef(fit$modelStruct$corStruct, unconstrained = FALSE)))
}
res <- lapply(models, function(m) c(m, list(fits = lapply(c("REML", "ML"), function(k) fit1(m, k)))))
write_json(res, file.path(out, "places.json"), digits = 15, auto_unbox = TRUE, null = "null", na = "null", pretty = 1)
