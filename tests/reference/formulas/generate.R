#!/usr/bin/env Rscript
# Reference values for the functions that formulas may call, in R.
#
#   LC_ALL=en_US.UTF-8 Rscript generate.R
#
# Run it in the directory of this file.  It writes
#   bases.json    columns that ns, bs, poly and scale make of random columns, and of new rows
#   models.json   fits of lmer with these functions, relevel, contrasts and ordered factors
#   labels.json   text in the order in which R sorts it
# Numbers have 15 digits.  The code of the formulas is R's and this package's alike.

suppressPackageStartupMessages({
  library(lmerTest)
  library(splines)
  library(jsonlite)
})
options(contrasts = c("contr.treatment", "contr.poly"), warn = 1)
stopifnot(grepl("en_US", Sys.getlocale("LC_COLLATE")))
RNGversion("4.0.0")
set.seed(20240607)
write <- function(object, file)
  writeLines(toJSON(object, digits = NA, auto_unbox = TRUE, null = "null"), file)
software <- list(R = as.character(getRversion()), lme4 = as.character(packageVersion("lme4")),
                 lmerTest = as.character(packageVersion("lmerTest")),
                 ICU = extSoftVersion()[["ICU"]], locale = Sys.getlocale("LC_COLLATE"))

# --- bases ---------------------------------------------------------------------------------

column <- function(n) switch(sample(5, 1),
  rnorm(n), runif(n, -1, 4), rexp(n), 1990 + runif(n, 0, 30), as.numeric(sample(9, n, TRUE)))
number <- function(v) format(round(v, 3), nsmall = 1, trim = TRUE)
list_of <- function(v) sprintf("c(%s)", paste(number(v), collapse = ", "))
ends_of <- function(x) {
  w <- diff(range(x))
  if (runif(1) < 0.5) range(x) + c(-1, 1) * runif(2, 0.05, 0.5) * w
  else range(x) + c(1, -1) * runif(2, 0.02, 0.15) * w
}
spline_code <- function(x, name) {
  intercept <- runif(1) < 0.25
  degree <- if (name == "bs") sample(1:4, 1) else 3
  least <- if (name == "bs") degree + intercept else 1 + intercept
  ends <- if (runif(1) < 0.4) round(ends_of(x), 3) else range(x)
  given <- !identical(ends, range(x))
  args <- if (runif(1) < 0.5) sprintf("df=%d", least + sample(0:4, 1)) else
    sprintf("knots=%s", list_of(sort(runif(sample(1:3, 1), ends[1] + 0.01 * diff(ends), ends[2] - 0.01 * diff(ends)))))
  if (name == "bs" && degree != 3) args <- c(args, sprintf("degree=%d", degree))
  if (intercept) args <- c(args, "intercept=TRUE")
  if (given) args <- c(args, sprintf("Boundary.knots=%s", list_of(ends)))
  sprintf("%s(x, %s)", name, paste(args, collapse = ", "))
}
code_of <- function(x) switch(sample(6, 1, prob = c(4, 4, 2, 1, 1, 1)),
  spline_code(x, "ns"), spline_code(x, "bs"), sprintf("poly(x, %d)", sample(1:5, 1)),
  sprintf("poly(x, %d, raw=TRUE)", sample(1:4, 1)),
  sample(c("scale(x)", "scale(x, scale=FALSE)", "scale(x, center=FALSE)",
           sprintf("scale(x, center=%s, scale=%s)", number(rnorm(1)), number(runif(1, 1, 3)))), 1),
  sample(c("ns(log(x - min(x) + 1), df=3)", "poly(scale(x), 2)", "ns(x)", "bs(x)"), 1))
matrix_of <- function(code, x, new) {
  frame <- model.frame(as.formula(paste("~ 0 +", code)), data.frame(x = x))
  again <- model.frame(terms(frame), data.frame(x = new))
  list(columns = model.matrix(terms(frame), frame), new_columns = model.matrix(terms(frame), again))
}
bare <- function(m) unname(matrix(as.numeric(m), nrow(m)))
bases <- list()
while (length(bases) < 160) {
  x <- column(sample(12:20, 1))
  code <- code_of(x)
  if (grepl("min(x)", code, fixed = TRUE)) code <- sprintf("ns(log(x + %s), df=3)", number(1 - min(x)))
  new <- c(x[1:2], range(x) + c(-1, 1) * runif(2, 0.05, 0.4) * diff(range(x)), mean(x))
  if (grepl("log", code)) new <- pmax(new, min(x))
  found <- suppressWarnings(tryCatch(matrix_of(code, x, new), error = function(e) NULL))
  # Quantiles at an end of the range are knots that this package refuses.
  if (is.null(found) || qr(found$columns)$rank < ncol(found$columns)) next
  basis <- suppressWarnings(eval(parse(text = code)))
  knots <- attr(basis, "knots")
  if (length(knots) && any(knots <= attr(basis, "Boundary.knots")[1] | knots >= attr(basis, "Boundary.knots")[2])) next
  bases[[length(bases) + 1]] <- list(code = code, x = x, columns = bare(found$columns), new = new,
                                     new_columns = bare(found$new_columns))
}
write(list(software = software, bases = bases), "bases.json")

# --- models --------------------------------------------------------------------------------

read <- function(name, factors) {
  d <- read.csv(file.path("..", "data", paste0(name, ".csv")))
  for (f in factors) d[[f]] <- factor(d[[f]])
  d
}
sleepstudy <- read("sleepstudy", "Subject")
cake <- read("cake", c("recipe", "replicate"))
cake$temperature <- factor(cake$temperature, ordered = TRUE)
machines <- read("machines", c("Worker", "Machine"))
orthodont <- read("orthodont", c("Subject", "Sex"))
oats <- read("oats", c("Block", "Variety"))
# Labels whose order depends on the locale.
n <- 96
words <- data.frame(group = factor(rep(1:12, each = 8)), arm = sample(c("b", "B", "a", "Ab", "aC"), n, TRUE),
                    site = sample(c("x 1", "X-2", "x10", "_x"), n, TRUE))
words$y <- round(rnorm(n) + rnorm(12)[words$group] + (words$arm == "B"), 4)
words$arm <- factor(words$arm); words$site <- factor(words$site)

model <- function(id, data, formula, ...) list(id = id, data = data, formula = formula, more = list(...))
models <- list(
  model("ns", "sleepstudy", "Reaction ~ ns(Days, 3) + (1 | Subject)"),
  model("ns_random", "sleepstudy", "Reaction ~ ns(Days, df=2) + (ns(Days, df=2) | Subject)"),
  model("ns_knots", "sleepstudy", "Reaction ~ ns(Days, knots=c(2, 5), Boundary.knots=c(0.5, 8)) + (Days | Subject)"),
  model("bs", "sleepstudy", "Reaction ~ bs(Days, df=4, Boundary.knots=c(-1, 10)) + (scale(Days) | Subject)"),
  model("bs_degree", "oats", "yield ~ bs(nitro, knots=0.3, degree=2) + Variety + (1 | Block) + (1 | Block:Variety)"),
  model("poly", "orthodont", "distance ~ poly(age, 2) * Sex + (poly(age, 1) | Subject)"),
  model("poly_raw", "sleepstudy", "Reaction ~ poly(Days, 2, raw=TRUE) + (1 | Subject)"),
  model("scale", "cake", "angle ~ recipe * scale(temp) + (1 | recipe:replicate)"),
  model("ordered", "cake", "angle ~ recipe * temperature + (1 | recipe:replicate)"),
  model("relevel", "cake", "angle ~ relevel(recipe, ref=\"B\") + temp + (1 | recipe:replicate)"),
  model("relevel_random", "machines", "score ~ relevel(Machine, ref=\"C\") + (0 + relevel(Machine, ref=\"C\") | Worker)"),
  model("relevel_numbers", "cake", "angle ~ relevel(factor(temp), ref=\"195\") * recipe + (1 | recipe:replicate)"),
  model("contrasts", "cake", "angle ~ recipe + factor(temp) + (1 | recipe:replicate)",
        contrasts = list(recipe = "contr.sum", `factor(temp)` = "contr.helmert")),
  model("labels", "words", "y ~ arm + site + (1 | group)")
)
table_of <- function(fit, type) {
  found <- anova(fit, type = type)
  list(type = type, terms = rownames(found), F = found[["F value"]], df = found$NumDF,
       ddf = found$DenDF)
}
fit_of <- function(own) {
  control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5))
  call <- list(as.formula(own$formula), data = get(own$data), control = control)
  if (!is.null(own$more$contrasts)) call$contrasts <- own$more$contrasts
  fit <- do.call(lmer, call)
  errors <- sqrt(diag(as.matrix(vcov(fit))))
  rows <- get(own$data)[c(1, 5, 9), ]
  list(id = own$id, data = own$data, formula = own$formula, contrasts = own$more$contrasts,
       criterion = as.numeric(REMLcrit(fit)), names = names(fixef(fit)), fixed = unname(fixef(fit)),
       errors = unname(errors), anova = lapply(1:3, function(k) table_of(fit, k)), sigma = sigma(fit), fitted = unname(fitted(fit)[c(1, 5, 9)]),
       population = unname(predict(fit, rows, re.form = NA)))
}
write(list(software = software, words = words, models = lapply(models, fit_of)), "models.json")

# --- labels --------------------------------------------------------------------------------

characters <- function(...) intToUtf8(c(...), multiple = TRUE)
alphabets <- list(
  ascii = characters(32:126),
  usual = strsplit("aAbBcCeEnNoOsSxXzZ019 -_.()", "")[[1]],
  accents = strsplit("aAbBeEoOsS12 -_.éÉèöÖäÄüÜßøØæÆçñÑ", "")[[1]],
  latin = setdiff(characters(0xA1:0x17F), "\u00ad"),
  greek = strsplit("αβγδεζηθικλμνξοπρστυφχψωςάέήίόύώΑΒΓΔΣΩ ", "")[[1]],
  cyrillic = c(characters(0x400:0x45F), "ґ", "Ґ", " "),
  signs = strsplit("_-–—,;:!¡?¿.…·'‘’‚\"“”„«»()[]{}§¶@*/\\&#%‰†•`´^¯¨¸°©®←→+±÷×<=>¬|¦~−¢$£¥€ab1 ™²½", "")[[1]]
)
random_labels <- function(alphabet)
  unique(replicate(300, paste(sample(alphabet, sample(1:5, 1), TRUE), collapse = "")))
labels <- lapply(alphabets, function(own) levels(factor(random_labels(own))))
write(list(software = software, sorted = labels), "labels.json")
