#!/usr/bin/env Rscript
# Comparisons of estimates by emmeans, in random families.
#
#   Rscript generate.R          writes comparisons.json, beside this file
#   Rscript generate.R 300 7    300 families by another seed, to standard output
#
# Run it in its own directory.  README.md says what the fields are.
suppressPackageStartupMessages({ library(emmeans); library(jsonlite); library(mvtnorm) })

METHODS <- list(
  pairwise = list(method = "pairwise", adjust = c("tukey", "sidak", "holm", "bonferroni", "fdr", "scheffe", "none")),
  reversed = list(method = "revpairwise", adjust = c("tukey", "none")),
  control = list(method = "trt.vs.ctrl", adjust = c("dunnettx", "holm", "scheffe", "none")),
  consecutive = list(method = "consec", adjust = c("sidak", "fdr", "none")),
  consecutive_reversed = list(method = "consec", adjust = "none"),
  eff = list(method = "eff", adjust = c("fdr", "none")),  # the rank of its L is rounded in Scheffe's
  poly = list(method = "poly", adjust = c("none", "bonferroni")),
  custom = list(method = NULL, adjust = c("none", "holm", "scheffe")))

# Degrees of freedom: infinite, one number, or a function of the row of L
df_of <- function(k, dfargs) dfargs$first + dfargs$more * sum(abs(k)) / (1 + sum(abs(k)))

random_case <- function() {
  n_a <- sample(2:6, 1)
  n_b <- sample(c(1, 1, 2, 3), 1)
  n <- n_a * n_b
  p <- sample(c(n, n + 2, max(2, n - 1)), 1)
  rows <- matrix(round(rnorm(n * p), 2), n)
  half <- matrix(rnorm(p * p), p) * sample(c(0.1, 1, 3), 1)
  V <- crossprod(half) + diag(p) * 0.01
  list(n_a = n_a, n_b = n_b, rows = rows, bhat = rnorm(p) * sample(c(0.3, 2, 10), 1), V = V,
       first = switch(sample(4, 1), Inf, sample(4:60, 1), runif(1, 4, 40), runif(1, 5, 30)),
       more = sample(c(0, 0, runif(1, 0, 20)), 1), reference = sample(n_a, 1),
       custom = round(matrix(rnorm(2 * n_a), 2), 1))
}

frame_of <- function(con, adjust) {
  d <- as.data.frame(suppressMessages(summary(con, infer = c(TRUE, TRUE), adjust = adjust)))
  names(d) <- sub("asymp.LCL|lower.CL", "lower", sub("asymp.UCL|upper.CL", "upper", names(d)))
  names(d) <- sub("t.ratio|z.ratio", "t", sub("p.value", "p_value", sub("SE", "std_error", names(d))))
  lapply(d, function(col) if (is.factor(col)) as.character(col) else col)
}

record <- function(case) {
  levels <- list(a = letters[seq_len(case$n_a)])
  if (case$n_b > 1) levels$b <- toupper(letters[seq_len(case$n_b)])
  emm <- emmobj(case$bhat, case$V, levels, case$rows, dffun = df_of,
                dfargs = list(first = case$first, more = case$more))
  if (case$n_b > 1) emm <- update(emm, by.vars = "b")
  found <- lapply(setNames(nm = names(METHODS)), function(name) {
    own <- METHODS[[name]]
    con <- switch(name,
      control = contrast(emm, "trt.vs.ctrl", ref = case$reference),
      consecutive_reversed = contrast(emm, "consec", reverse = TRUE),
      custom = contrast(emm, list(one = case$custom[1, ], two = case$custom[2, ])),
      contrast(emm, own$method))
    first <- frame_of(con, "none")
    keep <- setdiff(names(first), c("lower", "upper", "p_value", "b"))
    list(columns = first[keep], adjust = lapply(setNames(nm = own$adjust), function(adjust)
      frame_of(con, adjust)[c("p_value", "lower", "upper")]))
  })
  # Differences of differences
  twice <- contrast(contrast(emm, "pairwise"), "pairwise", by = if (case$n_b > 1) "contrast")
  if (case$n_b > 1) found$twice <- list(columns = frame_of(twice, "none")[c("contrast1", "contrast", "estimate", "std_error")])
  joint <- test(contrast(emm, "consec"), joint = TRUE)
  c(case, list(methods = found, joint = lapply(as.data.frame(joint), identity)))
}

# The largest |t| of pairwise differences, of consecutive ones, and of random combinations
record_mvt <- function(n, kind, df) {
  C <- switch(kind, consecutive = diff(diag(n)), random = matrix(rnorm(n * (n - 1)), ncol = n),
              pairwise = t(apply(combn(n, 2), 2, function(p) replace(rep(0, n), p, c(1, -1)))))
  R <- cov2cor(C %*% (crossprod(matrix(rnorm(n * n), n)) + 0.1 * diag(n)) %*% t(C))
  x <- c(0.7, 1.5, 2.2, 3, 4)
  accurate <- GenzBretz(maxpts = 1e6, abseps = 2e-5)
  p <- lapply(x, function(z) pmvt(rep(-z, nrow(R)), rep(z, nrow(R)), df = df, corr = R, algorithm = accurate))
  list(kind = kind, correlation = R, df = df, x = x, p = 1 - sapply(p, identity), error = sapply(p, attr, "error"))
}

args <- commandArgs(TRUE)
set.seed(if (length(args)) as.integer(args[2]) else 20240517)
out <- lapply(seq_len(if (length(args)) as.integer(args[1]) else 12), function(k) record(random_case()))
out <- list(families = out, mvt = if (!length(args)) mapply(record_mvt, SIMPLIFY = FALSE,
  c(3, 4, 5, 6, 3, 5, 6, 4, 5, 6), rep(c("pairwise", "consecutive", "random"), c(4, 3, 3)),
  c(0, 5, 24, 9, 0, 7, 60, 3, 0, 17)))
text <- toJSON(out, auto_unbox = TRUE, digits = NA, na = "string")
if (length(args)) cat(text) else writeLines(text, "comparisons.json")
