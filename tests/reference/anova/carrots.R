# Tables of tests of terms by lmerTest for its data set `carrots`: 103 consumers by 12
# products. Run in this directory with `Rscript carrots.R`; writes carrots.json.
suppressMessages({library(lmerTest); library(jsonlite)})
data(carrots, package = "lmerTest")
of_consumer <- c("Homesize", "Age", "Work", "Income")
carrots <- carrots[order(carrots$Consumer, carrots$Product), ]
stopifnot(nrow(carrots) == 103 * 12)
consumers <- carrots[!duplicated(carrots$Consumer), c("Consumer", of_consumer)]
products <- carrots[!duplicated(carrots$Product), c("Product", "sens1", "sens2")]
models <- c(
  slope = "Preference ~ sens2 * Homesize * Age + (1 + sens2 | Consumer)",
  crossed = "Preference ~ sens2 * sens1 * Homesize * Age + (1 | Product) + (1 | Consumer)",
  empty_cells = "Preference ~ Age * Work + sens2 + (1 + sens2 | Consumer)",
  empty_cells_slopes = "Preference ~ Income * Age * sens2 + (1 | Consumer)",
  one_term = "Preference ~ Age + (1 | Consumer)")
table_of <- function(model, type, ddf) {
  out <- suppressMessages(anova(model, type = type, ddf = ddf))
  list(terms = rownames(out), F = out[["F value"]], df_num = out[["NumDF"]],
       df_den = out[["DenDF"]], p_value = out[["Pr(>F)"]])
}
fits <- lapply(models, function(formula) {
  model <- suppressMessages(lmer(as.formula(formula), carrots,
                control = lmerControl(optCtrl = list(rhoend = 1e-10, maxfun = 1e5))))
  methods <- c(satterthwaite = "Satterthwaite", "kenward-roger" = "Kenward-Roger")
  tables <- lapply(methods, function(ddf)
    lapply(c("1" = 1, "2" = 2, "3" = 3), function(type) table_of(model, type, ddf)))
  list(formula = formula, criterion = REMLcrit(model), tables = tables)
})
one_each <- ifelse(is.na(carrots$Preference), ".", carrots$Preference)
preference <- tapply(one_each, carrots$Consumer, paste, collapse = "")
out <- list(
  source = paste("lmerTest", packageVersion("lmerTest"), "lme4", packageVersion("lme4"),
                 "pbkrtest", packageVersion("pbkrtest")),
  consumers = lapply(consumers, as.character),
  products = list(Product = as.character(products$Product), sens1 = products$sens1,
                  sens2 = products$sens2),
  preference = unname(preference), fits = fits)
write(toJSON(out, auto_unbox = TRUE, digits = 15, pretty = FALSE), "carrots.json")
