#!/usr/bin/env Rscript
# Influence of groups, and conditional AIC.
#
#   Rscript generate.R        writes groups.json and caic.json
#
# Run it in the directory of this file. Every level of a factor is left out, and lmer() fits the
# other rows. influence.ME (Nieuwenhuis, te Grotenhuis and Pelzer, 2012, R Journal 4(2)) and
# HLMdiag (Loy and Hofmann, 2014, J. Stat. Softw. 56(5)) make their measures of these refits:
# dfbetas() of the first, and cooks.distance(), mdffits(), covratio(), covtrace() and rvc() of
# the second. HLMdiag's own of a fitted model hold the variances. cAIC() is that of cAIC4.

suppressPackageStartupMessages({
  library(lme4); library(HLMdiag); library(influence.ME); library(cAIC4); library(jsonlite)
})

# BOBYQA to a radius at which the criterion has no digits left
tight <- lmerControl(optimizer = "bobyqa", calc.derivs = FALSE,
                     optCtrl = list(rhoend = 1e-9, maxfun = 1e5),
                     check.conv.singular = "ignore")
read <- function(name, factors) {
  data <- read.csv(file.path("..", "data", paste0(name, ".csv")), colClasses = NA)
  for (f in factors) data[[f]] <- factor(data[[f]], unique(data[[f]]))
  data
}
data <- list(
  sleepstudy = read("sleepstudy", "Subject"),
  sleepstudy_weighted = read("sleepstudy_weighted", "Subject"),
  orthodont = read("orthodont", c("Subject", "Sex")),
  pastes = read("pastes", c("batch", "cask", "sample")),
  penicillin = read("penicillin", c("plate", "sample")),
  dyestuff = read("dyestuff", "Batch"),
  dyestuff2 = read("dyestuff2", "Batch"))
fit <- function(formula, rows, reml) {
  if (is.null(rows$w)) return(lmer(formula, rows, REML = reml, control = tight))
  lmer(formula, rows, REML = reml, control = tight, weights = w)
}

components <- function(m) c(sigma2 = sigma(m)^2, HLMdiag:::varcomp.mer(m)[-1])
refits <- function(name, formula, factor, reml) {
  rows <- data[[name]]
  whole <- fit(formula, rows, reml)
  levels <- levels(rows[[factor]])
  part <- lapply(levels, function(l) fit(formula, droplevels(rows[rows[[factor]] != l, ]), reml))
  fixed <- do.call(rbind, lapply(part, fixef)); rownames(fixed) <- levels
  vcovs <- lapply(part, function(m) as.matrix(vcov(m)))
  ses <- do.call(rbind, lapply(vcovs, function(v) sqrt(diag(v))))
  # As influence() and case_delete() have them
  estex <- structure(list(or.fixed = t(fixef(whole)), alt.fixed = fixed,
                          alt.se = structure(ses, dimnames = dimnames(fixed)),
                          alt.vcov = vcovs), class = "estex")
  deleted <- structure(list(fixef.original = fixef(whole), fixef.delete = fixed,
                            vcov.original = as.matrix(vcov(whole)), vcov.delete = vcovs),
                       class = "case_delete")
  components <- do.call(rbind, lapply(part, function(m)
    as.data.frame(VarCorr(m))$vcov / as.data.frame(VarCorr(whole))$vcov - 1))
  held <- NULL
  if (!grepl("weighted", name)) {
    order <- match(levels, unique(as.character(getME(whole, "flist")[[factor]])))
    of <- function(f) unclass(as.numeric(f(whole, level = factor)))[order]
    held <- list(cooks_distance = of(cooks.distance), mdffits = of(mdffits),
                 covratio = of(covratio), covtrace = of(covtrace))
  }
  list(dataset = name, formula = deparse(formula), factor = factor, reml = reml,
       levels = levels, criterion = sapply(part, function(m)
         if (reml) REMLcrit(m) else deviance(m)),
       names = names(fixef(whole)), change = sweep(fixed, 2, fixef(whole)),
       dfbetas = unname(as.matrix(influence.ME:::dfbetas.estex(estex))),
       refit = list(cooks_distance = HLMdiag:::cooks.distance.case_delete(deleted),
                    mdffits = HLMdiag:::mdffits.case_delete(deleted),
                    covratio = HLMdiag:::covratio.case_delete(deleted),
                    covtrace = HLMdiag:::covtrace.case_delete(deleted)),
       influence_me_cooks = as.numeric(influence.ME:::cooks.distance.estex(estex)),
       rvc = unname(components), theta = do.call(rbind, lapply(part, function(m)
         unname(getME(m, "theta")))),
       sigma = sapply(part, sigma), fixed = held)
}
groups <- list()
for (reml in c(TRUE, FALSE)) groups <- c(groups, list(
  refits("sleepstudy", Reaction ~ Days + (Days | Subject), "Subject", reml),
  refits("sleepstudy_weighted", Reaction ~ Days + (1 | Subject), "Subject", reml),
  refits("orthodont", distance ~ age * Sex + (1 | Subject), "Subject", reml),
  refits("pastes", strength ~ 1 + (1 | batch) + (1 | sample), "batch", reml),
  refits("pastes", strength ~ 1 + (1 | batch) + (1 | sample), "sample", reml),
  refits("penicillin", diameter ~ 1 + (1 | plate) + (1 | sample), "plate", reml),
  refits("penicillin", diameter ~ 1 + (1 | plate) + (1 | sample), "sample", reml)))
write_json(groups, "groups.json", digits = 12, auto_unbox = TRUE)

models <- list(
  list("sleepstudy", Reaction ~ Days + (Days | Subject)),
  list("sleepstudy", Reaction ~ Days + (1 | Subject)),
  list("sleepstudy_weighted", Reaction ~ Days + (Days | Subject)),
  list("orthodont", distance ~ age * Sex + (1 | Subject)),
  list("pastes", strength ~ 1 + (1 | batch) + (1 | sample)),
  list("penicillin", diameter ~ 1 + (1 | plate) + (1 | sample)),
  list("dyestuff", Yield ~ 1 + (1 | Batch)),
  list("dyestuff2", Yield ~ 1 + (1 | Batch)))
caic <- list()
for (reml in c(TRUE, FALSE)) for (m in models) {
  found <- suppressWarnings(cAIC(fit(m[[2]], data[[m[[1]]]], reml)))
  caic <- c(caic, list(list(dataset = m[[1]], formula = deparse(m[[2]]), reml = reml,
                            log_likelihood = found$loglikelihood, df = found$df,
                            caic = found$caic)))
}
write_json(caic, "caic.json", digits = 12, auto_unbox = TRUE)
