# Tables of tests by lmerTest: anova of types I to III with sums of squares, drop1 and ranova,
# of the models of ../fits and of further ones to the same data. Run in this directory with
# `Rscript tables.R`; writes tables.json. Fits are refined by the Newton steps of ../generate.R, and
# by further ones here: an F of 1e-3 has six digits only where theta has nine.
setwd("..")
code <- parse("generate.R")
for (part in code[-length(code)]) eval(part) # its last call runs everything
setwd("anova")
suppressPackageStartupMessages(library(pbkrtest))

frame_of <- function(name) {
  about <- fromJSON(file.path("..", "fits", paste0(name, ".json")), simplifyVector = FALSE)
  d <- read.csv(file.path("..", about$data_file), colClasses = "character", check.names = FALSE)
  for (own in about$columns) {
    if (!grepl("factor", own$type)) d[[own$name]] <- as.numeric(d[[own$name]])
    else if (is.null(own$levels)) d[[own$name]] <- factor(d[[own$name]])
    else d[[own$name]] <- factor(d[[own$name]], levels = unlist(own$levels),
                                 ordered = own$type == "ordered factor")
  }
  list(frame = d, models = about$models)
}

# A model of `data`, whose rows `left_out`, counted from 1, are not there.
model_of <- function(data, formula, weights = NULL, factors = character(), unordered = character(),
                     left_out = integer(), reml = TRUE)
  list(data = data, formula = formula, weights = weights, factors = factors,
       unordered = unordered, left_out = left_out, reml = reml)
every <- function(n, k, first = 1) seq(first, n, by = k)

specs <- list()
for (path in sort(list.files("../fits", "\\.json$"))) {
  name <- sub("\\.json$", "", path)
  for (m in frame_of(name)$models)
    specs[[paste(name, m$id, sep = "/")]] <-
      model_of(name, m$formula, m$weights, unordered = unlist(m$unordered))
}
cake <- frame_of("cake")$frame
empty <- which(cake$recipe == "C" & cake$temperature == "225")
further <- list(
  cake_unbalanced = model_of("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)",
    unordered = "temperature", left_out = every(270, 7)),
  cake_empty_cell = model_of("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)",
    unordered = "temperature", left_out = empty),
  cake_covariate = model_of("cake", "angle ~ temp * recipe + (1 | recipe:replicate)",
    left_out = every(270, 11)),
  oats_factors = model_of("oats", "yield ~ Variety * nitro + (1 | Block/Variety)",
    factors = "nitro", left_out = every(72, 5)),
  orthodont_unbalanced = model_of("orthodont", "distance ~ Sex * age + (age | Subject)",
    left_out = every(108, 6, 2)),
  orthodont_weights = model_of("orthodont", "distance ~ Sex * age + (1 | Subject)",
    weights = "age", left_out = every(108, 9)),
  orthodont_ml = model_of("orthodont", "distance ~ Sex * age + (age | Subject)", reml = FALSE),
  kr_covariates = model_of("sleepstudy_kr", "Reaction ~ Days * trt + z + (Days | Subject)",
    factors = "trt"),
  kr_interactions = model_of("sleepstudy_kr", "Reaction ~ Days * trt * z + (1 | Subject)",
    factors = "trt"),
  kr_slopes = model_of("sleepstudy_kr",
    "Reaction ~ Days + trt + z + (Days + z | Subject)", left_out = every(110, 13)),
  kr_split = model_of("sleepstudy_kr", "Reaction ~ Days + z + (Days + z || Subject)"),
  machines_without_intercept = model_of("machines", "score ~ 0 + Machine + (1 | Worker)"),
  oats_cells = model_of("oats", "yield ~ nitro + Variety + (0 + Variety | Block)"),
  kr_slopes_alone = model_of("sleepstudy_kr", "Reaction ~ Days + z + (0 + Days + z | Subject)"))
specs <- c(specs, further)

table_of <- function(x) {
  x <- as.data.frame(x)
  names(x) <- c("Sum Sq" = "sum_sq", "Mean Sq" = "mean_sq", NumDF = "df_num", DenDF = "df_den",
    "F value" = "F", "Pr(>F)" = "p_value", npar = "n_parameters", logLik = "log_likelihood",
    AIC = "aic", LRT = "statistic", Df = "df", "Pr(>Chisq)" = "p_value")[names(x)]
  c(list(terms = I(rownames(x))), lapply(x, function(column) I(unname(column))))
}
# Newton steps by differences over 1 % of theta, in which the criterion's rounding counts less.
refined <- function(fit, spec) {
  free <- fit$polish$free
  if (!any(free)) return(fit$model)
  devfun <- silently(lmer_call(spec, spec$reml, ctl_refit, devFunOnly = TRUE))
  theta <- fit$theta
  of_free <- function(z) { theta[free] <- z; devfun(theta) }
  steps <- list(d = 0.01, r = 6)
  for (iter in 1:3)
    theta[free] <- theta[free] - solve(
      numDeriv::hessian(of_free, theta[free], method.args = steps),
      numDeriv::grad(of_free, theta[free], method.args = steps))
  theta_final <<- list(theta = theta)
  silently(lmer_call(spec, spec$reml, quote(ctl_final), start = quote(theta_final)))
}
silently <- function(value) suppressMessages(suppressWarnings(value))

tables_of <- function(spec) {
  d <- frame_of(spec$data)$frame
  for (v in spec$factors) d[[v]] <- factor(d[[v]])
  for (v in spec$unordered) d[[v]] <- factor(d[[v]], ordered = FALSE)
  dat <<- if (length(spec$left_out)) d[-spec$left_out, ] else d
  spec$formula <- as.formula(spec$formula)
  fit <- silently(fit_model(spec, spec$reml))
  final <- refined(fit, spec)
  stopifnot(criterion(final) < criterion(fit$model) + 1e-9)
  m <- silently(as_lmerModLmerTest(final))
  methods <- c(satterthwaite = "Satterthwaite",
    # pbkrtest does not take prior weights into account, and is for REML
    if (is.null(spec$weights) && spec$reml) c("kenward-roger" = "Kenward-Roger"))
  types <- c("1" = 1, "2" = 2, "3" = 3)
  has_terms <- length(attr(terms(m), "term.labels")) > 0
  out <- list(criterion = criterion(final))
  if (has_terms) {
    out$anova <- lapply(methods, function(ddf) lapply(types, function(type)
      table_of(silently(anova(m, type = type, ddf = ddf)))))
    out$drop1 <- lapply(methods, function(ddf) table_of(silently(drop1(m, ddf = ddf))))
  }
  refit <- silently(lmer_call(spec, spec$reml, quote(ctl_refit)))
  for (reduces in c(TRUE, FALSE))
    out[[if (reduces) "ranova" else "ranova_of_terms"]] <-
      table_of(silently(ranova(silently(as_lmerModLmerTest(refit)), reduce.terms = reduces)))
  out
}
found <- list()
for (id in names(specs)) {
  spec <- specs[[id]]
  t0 <- proc.time()[[3]]
  tables <- tables_of(spec)
  message(sprintf("%-40s %.1f s", id, proc.time()[[3]] - t0))
  spec$left_out <- I(spec$left_out); spec$factors <- I(spec$factors)
  spec$unordered <- I(as.character(spec$unordered))
  found[[id]] <- c(spec, tables)
}
out <- list(source = paste("lmerTest", packageVersion("lmerTest"), "lme4", packageVersion("lme4"),
  "pbkrtest", packageVersion("pbkrtest")), models = found)
write_json_file(out, "tables.json")
