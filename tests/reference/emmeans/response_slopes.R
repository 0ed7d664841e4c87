#!/usr/bin/env Rscript
# Slopes on the scale of the response by emmeans, emtrends(regrid = "response").
#
#   Rscript response_slopes.R     writes response_slopes.json, beside this file
#
# Run it in its own directory.  The difference quotients are one-sided: of two steps the limit is
# extrapolated.
suppressPackageStartupMessages({ library(lme4); library(glmmTMB); library(emmeans); library(jsonlite) })
options(contrasts = c("contr.treatment", "contr.poly"), warn = 1)
emm_options(msg.interaction = FALSE)
at_step <- function(m, f, x, at, step) {
  own <- emtrends(m, f, var = x, at = at, regrid = "response", delta.var = step)
  found <- summary(own, infer = TRUE)
  names(found)[names(found) == paste0(x, ".trend")] <- "slope"
  pairs <- summary(contrast(own, "pairwise", adjust = "none"), infer = TRUE)
  list(slopes = as.list(found[c("slope", "SE")]), pairs = as.list(pairs[c("estimate", "SE")]))
}
slopes <- function(m, f, x, at = list()) {
  whole <- at_step(m, f, x, at, 1e-3); half <- at_step(m, f, x, at, 5e-4)
  Map(function(a, b) Map(function(v, w) 2 * w - v, a, b), whole, half)
}
cake <- read.csv("../data/cake.csv"); cake$recipe <- factor(cake$recipe)
cake$replicate <- factor(cake$replicate)
toenail <- read.csv("../generalized/data/toenail.csv")
toenail$treated <- factor(toenail$treated)
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-12, maxfun = 1e5))
m1 <- lmer(log(angle) ~ recipe * temp + (1 | recipe:replicate), cake, control = tight)
m2 <- glmmTMB(severe ~ treated * visit + (1 | patient), toenail, family = binomial)
out <- list(
  cake = c(list(formula = "log(angle) ~ recipe * temp + (1 | recipe:replicate)"),
           slopes(m1, ~ recipe, "temp", list(temp = 180))),
  toenail = c(list(formula = "severe ~ factor(treated) * visit + (1 | patient)"),
              slopes(m2, ~ treated, "visit", list(visit = 2))))
writeLines(toJSON(out, digits = NA, auto_unbox = TRUE, pretty = TRUE), "response_slopes.json")
