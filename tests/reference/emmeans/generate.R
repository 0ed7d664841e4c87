#!/usr/bin/env Rscript
# Marginal means, slopes, comparisons of both, joint tests and effect sizes by emmeans.
#
#   Rscript generate.R            writes emmeans.json, beside this file
#   Rscript generate.R cake epil  only these models, to standard output
#
# Run it in its own directory.  README.md says what the fields are.  Linear models are fitted by
# lme4 and then by Newton steps on the profiled criterion, generalized ones by glmmTMB (Laplace's
# approximation) with the covariance matrix by an accurate Hessian, those with correlated
# residuals by nlme::gls.
suppressPackageStartupMessages({
  library(lme4); library(lmerTest); library(glmmTMB); library(nlme); library(emmeans)
  library(jsonlite)
})
options(contrasts = c("contr.treatment", "contr.poly"), warn = 1)
emm_options(msg.nesting = FALSE, msg.interaction = FALSE)
arr <- function(x) if (is.null(x)) I(list()) else I(unname(x))

# ---- Models ---------------------------------------------------------------------------------

# drop: rows (from 1) whose number is a multiple of it, and then those with all levels of `empty`.
model <- function(id, data, formula, ..., random = NULL, factors = character(), family = NULL,
                  drop = NULL, empty = NULL, cycle = NULL, within = NULL, weights = NULL,
                  correlation = NULL,
                  means = list(), slopes = list(), python = NULL)
  list(id = id, data = data, formula = formula, factors = factors, family = family, drop = drop,
       empty = empty, cycle = cycle, within = within, weights = weights,
       correlation = correlation, means = means,
       slopes = slopes, python = if (is.null(python)) formula else python)
# variables, by, at and weights of one table; compare: whether its comparisons are recorded
ask <- function(variables, by = NULL, at = NULL, weights = "equal", compare = FALSE)
  list(variables = variables, by = by, at = at, weights = weights, compare = compare)
trend <- function(column, variables = NULL, by = NULL, at = NULL, compare = FALSE)
  list(column = column, variables = variables, by = by, at = at, weights = "equal",
       compare = compare)
WEIGHTS <- c("equal", "proportional", "outer", "cells", "flat")
each_weights <- function(...) lapply(WEIGHTS, function(w) ask(..., weights = w))

MODELS <- list(
  model("machines", "data/machines.csv", "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)",
        factors = c("Worker", "Machine"), drop = 7,
        means = list(ask("Machine", compare = TRUE))),
  model("cake", "data/cake.csv", "angle ~ recipe * temperature + (1 | recipe:replicate)",
        factors = c("replicate", "recipe", "temperature"),
        means = list(ask("recipe", compare = TRUE), ask("temperature"),
                     ask("temperature", by = "recipe", compare = TRUE),
                     ask(c("recipe", "temperature")), ask("recipe", by = "temperature"))),
  model("cake_covariate", "data/cake.csv", "angle ~ recipe * temp + (1 | recipe:replicate)",
        factors = c("replicate", "recipe", "temperature"), drop = 4,
        means = list(ask("recipe", compare = TRUE),
                     ask("recipe", by = "temp", at = list(temp = c(180, 200, 220)), compare = TRUE)),
        slopes = list(trend("temp", "recipe", compare = TRUE))),
  model("cake_empty", "data/cake.csv", "angle ~ recipe * temperature + (1 | recipe:replicate)",
        factors = c("replicate", "recipe", "temperature"),
        empty = list(list(recipe = "C", temperature = "225"), list(recipe = "A", temperature = "175")),
        means = c(list(ask(c("recipe", "temperature")), ask("temperature"),
                       ask("temperature", by = "recipe", compare = TRUE)), each_weights("recipe"),
                  list(ask("recipe", at = list(temperature = c("185", "195", "205", "215")),
                           compare = TRUE)))),
  model("cake_weighted", "data/cake.csv", "angle ~ recipe + temperature + (1 | replicate)",
        factors = c("replicate", "recipe", "temperature"), drop = 5,
        empty = list(list(recipe = "B", temperature = "215")),
        cycle = list(w = c(1, 2, 0.5)), weights = "w",
        means = c(each_weights("recipe"), each_weights("temperature"),
                  list(ask("recipe", compare = TRUE),
                       ask("recipe", weights = "proportional", compare = TRUE)))),
  model("oats", "data/oats.csv", "yield ~ Variety * factor(nitro) + (1 | Block/Variety)",
        factors = c("Block", "Variety"), drop = 6,
        means = list(ask("nitro", compare = TRUE), ask("Variety", compare = TRUE),
                     ask("Variety", by = "nitro", at = list(nitro = c(0, 0.4)), compare = TRUE))),
  model("orthodont", "data/orthodont.csv", "distance ~ age * Sex + (age | Subject)",
        factors = c("Subject", "Sex"), drop = 5,
        means = list(ask("Sex", compare = TRUE), ask("Sex", by = "age", at = list(age = c(8, 14)),
                                                     compare = TRUE)),
        slopes = list(trend("age", "Sex", compare = TRUE), trend("age"))),
  # A numeric column of two values is at both
  model("sleepstudy_two_values", "data/sleepstudy_kr.csv", "Reaction ~ Days * trt + z + (1 | Subject)",
        factors = "Subject",
        means = list(ask("trt", compare = TRUE), ask("trt", weights = "proportional"),
                     ask("Days", at = list(Days = c(0, 9))),
                     ask("Days", at = list(Days = c(0, 9)), weights = "proportional"),
                     ask("trt", at = list(trt = c(0, 0.5, 1), z = 0))),
        slopes = list(trend("Days", "trt", compare = TRUE), trend("z"))),
  model("sleepstudy_slope", "data/sleepstudy_kr.csv",
        "Reaction ~ Days * factor(trt) + z + (Days | Subject)", factors = "Subject",
        means = list(ask("trt", compare = TRUE), ask("trt", by = "Days", at = list(Days = c(0, 5)))),
        slopes = list(trend("Days", "trt", compare = TRUE))),
  model("sleepstudy_curves", "data/sleepstudy_kr.csv",
        "Reaction ~ poly(Days, 2) * factor(trt) + log(Days + 1) + (1 | Subject)", factors = "Subject",
        python = "Reaction ~ poly(Days, 2) * factor(trt) + np.log(Days + 1) + (1 | Subject)",
        means = list(ask("trt", compare = TRUE), ask("Days", by = "trt", at = list(Days = c(1, 6)))),
        slopes = list(trend("Days", "trt", compare = TRUE),
                      trend("Days", "trt", by = "Days", at = list(Days = c(2, 7))))),
  model("sleepstudy_log", "data/sleepstudy_kr.csv", "log(Reaction) ~ Days * factor(trt) + (1 | Subject)",
        factors = "Subject", python = "np.log(Reaction) ~ Days * factor(trt) + (1 | Subject)",
        means = list(ask("trt", compare = TRUE), ask("trt", by = "Days", at = list(Days = c(0, 9))))),
  model("sleepstudy_weighted", "data/sleepstudy_weighted.csv",
        "Reaction ~ factor(Days) + (1 | Subject)", factors = "Subject", drop = 4, weights = "w",
        means = list(ask("Days"), ask("Days", at = list(Days = c(0, 3, 9)), compare = TRUE))),
  model("three_factors", "generalized/data/clinics.csv", "log(cost) ~ ward * dose * sex + x + (1 | clinic)",
        python = "np.log(cost) ~ ward * dose * sex + x + (1 | clinic)",
        factors = c("clinic", "ward", "dose", "sex", "answer"), drop = 3,
        means = c(list(ask("ward", compare = TRUE), ask("ward", by = "dose", compare = TRUE),
                       ask(c("ward", "sex"), by = "dose")),
                  each_weights("sex"), each_weights("sex", by = "dose"),
                  list(ask("dose", weights = "proportional", at = list(ward = c("1", "2"), x = 1)))),
        slopes = list(trend("x"))),
  # Batches of four replicates within each recipe, named by both
  model("nested", "data/cake.csv", "angle ~ recipe * temp + batch + (1 | recipe:replicate)",
        factors = c("replicate", "recipe", "temperature", "batch"), drop = 4,
        within = list(name = "batch", factor = "recipe", of = "replicate", size = 4),
        means = list(ask("recipe", compare = TRUE), ask("recipe", weights = "proportional"),
                     ask("recipe", by = "temp", at = list(temp = c(180, 220)))),
        slopes = list(trend("temp", "recipe"))),
  model("crossed", "data/penicillin.csv", "diameter ~ sample + (1 | plate)", factors = c("plate", "sample"),
        drop = 8, means = list(ask("sample", compare = TRUE))),
  model("epil", "generalized/data/epil.csv", "y ~ trt * lbase + lage + factor(V4) + (1 | subject)",
        factors = c("subject", "trt"), family = "poisson",
        means = list(ask("trt", compare = TRUE), ask("V4", compare = TRUE),
                     ask("trt", by = "lbase", at = list(lbase = c(-1, 0, 1)), compare = TRUE),
                     ask("trt", weights = "proportional")),
        slopes = list(trend("lbase", "trt", compare = TRUE))),
  model("mmmec", "generalized/data/mmmec.csv", "deaths ~ nation + uvb + offset(log(expected)) + (1 | region)",
        python = "deaths ~ nation + uvb + offset(np.log(expected)) + (1 | region)",
        factors = c("nation", "region", "county"), family = "poisson",
        means = list(ask("nation"),
                     ask("nation", at = list(nation = c("Belgium", "Denmark", "Ireland"), expected = 1),
                         compare = TRUE)),
        slopes = list(trend("uvb"))),
  model("toenail", "generalized/data/toenail.csv", "severe ~ treated * visit + (1 | patient)",
        factors = "patient", family = "binomial",
        means = list(ask("treated", compare = TRUE),
                     ask("treated", by = "visit", at = list(visit = c(1, 4, 7)), compare = TRUE)),
        slopes = list(trend("visit", "treated", compare = TRUE))),
  model("cbpp", "generalized/data/cbpp.csv", "cbind(incidence, healthy) ~ period + (1 | herd)",
        factors = c("herd", "period"), family = "binomial",
        means = list(ask("period", compare = TRUE))),
  model("bacteria", "generalized/data/bacteria.csv", "y01 ~ trt * late + week + (1 | ID)",
        factors = c("ap", "hi", "late", "trt", "ID"), family = "binomial",
        means = c(list(ask("trt", compare = TRUE)), each_weights("late"))),
  model("clinics_events", "generalized/data/clinics.csv", "events ~ dose * sex + x + (x | clinic)",
        factors = c("clinic", "ward", "dose", "sex", "answer"), family = "poisson",
        means = list(ask("dose", by = "sex", compare = TRUE), ask("dose", weights = "proportional")),
        slopes = list(trend("x"))),
  model("fev", "residual/data/fev.csv", "FEV1 ~ RACE + SEX + ARMCD * AVISIT",
        factors = c("USUBJID", "AVISIT", "ARMCD", "RACE", "SEX"),
        correlation = list(subject = "USUBJID", time = "VISITN", visit = "AVISIT",
                           structure = "unstructured"),
        means = list(ask("ARMCD", by = "AVISIT", compare = TRUE), ask("AVISIT", by = "ARMCD", compare = TRUE),
                     ask("ARMCD", compare = TRUE), ask("RACE"))),
  model("orthodont_gls", "residual/data/orthodont.csv", "distance ~ age * Sex",
        factors = c("Subject", "Sex"), drop = 5,
        correlation = list(subject = "Subject", time = "k", visit = NULL,
                           structure = "compound_symmetry"),
        means = list(ask("Sex", compare = TRUE)), slopes = list(trend("age", "Sex", compare = TRUE))))

# ---- Data and fits --------------------------------------------------------------------------

read_rows <- function(own) {
  d <- read.csv(file.path("..", own$data), colClasses = setNames(rep("character", length(own$factors)),
                                                                   own$factors))
  # Levels as Python sorts them
  for (f in intersect(own$factors, names(d))) d[[f]] <- factor(d[[f]], levels = sort(unique(d[[f]]), method = "radix"))
  if (!is.null(own$drop)) d <- d[seq_len(nrow(d)) %% own$drop != 0, ]
  for (cell in own$empty) d <- d[!Reduce(`&`, Map(function(k, v) d[[k]] == v, names(cell), cell)), ]
  if (!is.null(own$within)) {
    w <- own$within
    number <- (as.integer(as.character(d[[w$of]])) - 1) %/% w$size
    d[[w$name]] <- factor(paste0(d[[w$factor]], number))
  }
  for (k in names(own$cycle)) d[[k]] <- rep_len(own$cycle[[k]], nrow(d))
  d <- d[complete.cases(d[intersect(names(d), all.vars(as.formula(own$formula)))]), ]
  droplevels(d)
}

# Newton steps on the profiled criterion, whose gradient the optimizers leave at 1e-5 or so
refined <- function(call, theta, lower) {
  f <- eval(as.call(c(as.list(call), devFunOnly = TRUE)))
  stopifnot(all(theta[lower == 0] > 1e-3))
  for (k in 1:6)
    theta <- theta - solve(numDeriv::hessian(f, theta), numDeriv::grad(f, theta))
  theta
}

fit_lmer <- function(own) {
  tight <- lmerControl(optimizer = "bobyqa", calc.derivs = FALSE,
                       optCtrl = list(maxfun = 1e6, rhobeg = 0.2, rhoend = 1e-10))
  call <- list(quote(lmerTest::lmer), formula = as.formula(own$formula), data = quote(dat))
  if (!is.null(own$weights)) call$weights <- as.name(own$weights)
  first <- suppressMessages(eval(as.call(c(call, control = quote(tight)))))
  plain <- call; plain[[1]] <- quote(lme4::lmer)
  theta <- suppressMessages(refined(plain, getME(first, "theta"), getME(first, "lower")))
  final <- lmerControl(optimizer = NULL, calc.derivs = FALSE)
  at_optimum <- list(theta = unname(theta))
  suppressMessages(eval(as.call(c(call, control = quote(final), start = quote(at_optimum)))))
}

# Laplace's likelihood by TMB, whose gradient is exact: Newton steps with its Jacobian by extrapolation
fit_glmmTMB <- function(own) {
  control <- glmmTMBControl(optCtrl = list(iter.max = 1e4, eval.max = 1e4))
  fit <- glmmTMB(as.formula(own$formula), dat, family = own$family, control = control)
  f <- fit$obj
  par <- fit$fit$par
  # The mode of the effects to all digits, of which the gradient needs them
  f$env$inner.control$tol <- 1e-14
  f$env$inner.control$tol10 <- 0
  for (k in 1:4) par <- par - solve(numDeriv::jacobian(f$gr, par), drop(f$gr(par)))
  stopifnot(max(abs(par - fit$fit$par)) < 1e-2, max(abs(f$gr(par))) < 1e-6)
  fit$fit$objective <- as.numeric(f$fn(par))
  fit$fit$par <- par
  fit$fit$parfull <- f$env$last.par
  V <- solve(numDeriv::jacobian(f$gr, par))[names(par) == "beta", names(par) == "beta"]
  list(fit = fit, V = unname((V + t(V)) / 2))
}

fit_gls <- function(own) {
  r <- own$correlation
  grouped <- as.formula(paste("~", r$time, "|", r$subject))
  structures <- list(unstructured = corSymm, compound_symmetry = corCompSymm)
  fit_from <- function(correlations, sds, ...) {
    control <- glsControl(maxIter = 200, msMaxIter = 1000, tolerance = 1e-13, msTol = 1e-15, ...)
    args <- list(model = as.formula(own$formula), data = dat, control = control, method = "REML")
    args$correlation <- do.call(structures[[r$structure]], c(correlations, list(form = grouped)))
    if (!is.null(r$visit)) {
      strata <- as.formula(paste("~ 1 |", r$visit))
      args$weights <- do.call(varIdent, c(sds, list(form = strata)))
    }
    do.call(gls, args)
  }
  fit <- fit_from(NULL, NULL, opt = "nlminb")
  # nlminb stops short
  for (k in 1:3) {
    found <- fit$modelStruct
    sds <- if (!is.null(found$varStruct)) list(value = coef(found$varStruct, unconstrained = FALSE))
    correlations <- list(value = coef(found$corStruct, unconstrained = FALSE))
    fit <- fit_from(correlations, sds, opt = "optim", optimMethod = "BFGS")
  }
  fit
}

# ---- What is asked --------------------------------------------------------------------------

# Arguments of emmeans for a model and a method of degrees of freedom
arguments <- function(own, fit, q, ddf) {
  out <- list(fit, by = q$by, at = q$at, weights = q$weights)
  if (is.null(q$at)) out$at <- NULL
  if (is.null(q$by)) out$by <- NULL
  if (is.null(own$correlation) && is.null(own$family)) out$lmer.df <- ddf
  if (!is.null(own$correlation)) out$mode <- "df.error"
  if (!is.null(own$family)) {
    out$df <- Inf
    out$vcov. <- own$vcov
    # glmer's offset is at its mean, where glmmTMB's is that of the mean
    if (own$id == "mmmec" && is.null(q$at$expected)) out$offset <- mean(log(dat$expected))
  }
  out
}

frame_of <- function(x, drop = character()) {
  d <- as.data.frame(x)
  d <- d[setdiff(names(d), drop)]
  # Names that do not depend on the link
  known <- c(SE = "std_error", lower.CL = "lower", upper.CL = "upper", asymp.LCL = "lower",
             asymp.UCL = "upper", t.ratio = "t", z.ratio = "t", p.value = "p_value",
             emmean = "mean", response = "mean", prob = "mean", rate = "mean", ratio = "estimate",
             odds.ratio = "estimate", effect.size = "estimate", null = "null")
  names(d) <- ifelse(names(d) %in% names(known), known[names(d)], names(d))
  names(d)[grepl("\\.trend$", names(d))] <- "slope"
  lapply(d, function(col) arr(if (is.factor(col)) as.character(col) else col))
}

ADJUST <- list(pairwise = c("tukey", "holm", "bonferroni", "fdr", "mvt", "none"),
               trt.vs.ctrl = c("dunnettx", "mvt", "none"), consec = c("mvt", "none"))

comparisons_of <- function(emm, type) lapply(setNames(nm = names(ADJUST)), function(method) {
  con <- contrast(emm, method)
  first <- frame_of(summary(con, infer = c(TRUE, TRUE), adjust = "none", type = type))
  keep <- setdiff(names(first), c("lower", "upper", "p_value", "null"))
  list(columns = first[keep], adjust = lapply(setNames(nm = ADJUST[[method]]), function(adjust) {
    set.seed(1)  # mvt's p values and quantiles are by Monte Carlo, to about 1e-3
    frame_of(suppressMessages(summary(con, infer = c(TRUE, TRUE), adjust = adjust, type = type)))[
      c("p_value", "lower", "upper")]
  }))
})

means_of <- function(own, fit, q, ddf, type) {
  emm <- do.call(emmeans, c(arguments(own, fit, q, ddf), list(specs = q$variables)))
  stopifnot(is.null(emm@model.info$nesting))  # of what the table is over
  out <- list(variables = arr(q$variables), by = arr(q$by), at = lapply(q$at, arr), weights = q$weights,
              ddf = ddf, scale = type, columns = frame_of(summary(emm, infer = c(TRUE, FALSE), type = type)),
              wgt = arr(emm@grid$.wgt.))
  if (q$compare) out$comparisons <- comparisons_of(emm, type)
  if (q$compare && type == "link" && !anyNA(out$columns$mean)) {
    sizes <- list(sigma = sigma(fit), edf = 20)
    found <- eff_size(emm, sigma = sizes$sigma, edf = sizes$edf)
    out$effect_sizes <- c(sizes, list(columns = frame_of(summary(found, infer = c(TRUE, FALSE)))))
  }
  out
}

slopes_of <- function(own, fit, q, ddf) {
  specs <- if (is.null(q$variables)) ~ 1 else q$variables
  args <- c(arguments(own, fit, q, ddf), list(specs = specs, var = q$column))
  args$offset <- NULL
  # emtrends takes a difference to one side, of 1e-3 of the range: of a curve off by as much
  if (own$id == "sleepstudy_curves") args$delta.var <- 1e-7 * diff(range(dat[[q$column]]))
  found <- do.call(emtrends, args)
  columns <- frame_of(summary(found, infer = c(TRUE, TRUE)))
  columns[["1"]] <- NULL
  out <- list(column = q$column, variables = arr(q$variables), by = arr(q$by), at = lapply(q$at, arr),
              weights = q$weights, ddf = ddf, columns = columns)
  if (q$compare) out$comparisons <- comparisons_of(found, "link")
  out
}

joint_of <- function(own, fit, ddf, by = NULL) {
  args <- arguments(own, fit, list(weights = "equal"), ddf)
  args$weights <- NULL
  d <- as.data.frame(suppressMessages(do.call(joint_tests, c(args, by = by))))
  lapply(d, function(col) arr(if (is.factor(col)) as.character(col) else col))
}

METHODS <- list(lmer = c("satterthwaite", "kenward-roger"), gls = "residual", glmmTMB = "normal")

record <- function(own) {
  dat <<- read_rows(own)
  kind <- if (!is.null(own$correlation)) "gls" else if (!is.null(own$family)) "glmmTMB" else "lmer"
  fit <- get(paste0("fit_", kind))(own)
  if (kind == "glmmTMB") {
    own$vcov <- fit$V
    fit <- fit$fit
  }
  methods <- METHODS[[kind]]
  if (!is.null(own$weights)) methods <- "satterthwaite"  # pbkrtest does not heed weights
  types <- if (!is.null(own$family) || grepl("^log", own$formula)) c("link", "response") else "link"
  asked <- expand.grid(q = seq_along(own$means), ddf = methods, type = types, stringsAsFactors = FALSE)
  # By Kenward and Roger's method only the first table of each kind
  two_way <- function(ddf) lapply(own$slopes, function(q) slopes_of(own, fit, q, ddf))
  by_one <- unique(unlist(lapply(own$means, function(q) if (is.null(q$at)) q$by)))
  list(id = own$id, data = own$data, formula = own$python, r_formula = own$formula,
       factors = arr(own$factors), family = own$family, drop = own$drop, empty = own$empty,
       cycle = lapply(own$cycle, arr), within = own$within, weights = own$weights, correlation = own$correlation,
       n = nrow(dat), sigma = sigma(fit), log_likelihood = as.numeric(logLik(fit)),
       means = Map(function(q, ddf, type) means_of(own, fit, own$means[[q]], ddf, type),
                   asked$q, asked$ddf, asked$type),
       slopes = unlist(lapply(methods, two_way), recursive = FALSE),
       joint_tests = lapply(setNames(nm = methods), function(ddf) joint_of(own, fit, ddf)),
       joint_tests_by = lapply(setNames(nm = by_one), function(by) joint_of(own, fit, methods[1], by)))
}

only <- commandArgs(TRUE)
chosen <- Filter(function(own) !length(only) || own$id %in% only, MODELS)
recorded <- lapply(chosen, function(own) { message(own$id); record(own) })
packages <- c("emmeans", "lme4", "lmerTest", "pbkrtest", "glmmTMB", "nlme", "mvtnorm")
out <- list(software = c(list(R = paste(R.version$major, R.version$minor, sep = ".")),
                         sapply(packages, function(p) as.character(packageVersion(p)), simplify = FALSE)),
            models = recorded)
text <- toJSON(out, auto_unbox = TRUE, digits = NA, null = "null", na = "null")
if (length(only)) cat(text) else writeLines(text, "emmeans.json")
