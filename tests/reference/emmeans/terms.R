# Terms of nested designs, and of models without some main effects: joint tests and means by emmeans.
# Rscript terms.R in this directory writes terms.json.
suppressPackageStartupMessages({library(lme4); library(lmerTest); library(emmeans); library(jsonlite)})
emm_options(msg.nesting = FALSE, msg.interaction = FALSE)
options(contrasts = c("contr.treatment", "contr.poly"))

rows_of <- function(sizes) {  # one row of `sizes` for each level of c
  d <- sizes[rep(seq_len(nrow(sizes)), each = 8), , drop = FALSE]
  n <- nrow(d)
  d$t <- rep(c("C", "T"), length.out = n)
  d$g <- sprintf("g%02d", sample(10, n, TRUE))
  d$y <- round(rnorm(n) + ifelse(d$t == "T", match(d$d, unique(d$d)) - 1.6, 0) +
                 0.6 * match(d$g, sort(unique(d$g))) %% 3, 3)
  rownames(d) <- NULL
  d
}

set.seed(20)
chain <- data.frame(d = rep(c("d1", "d2", "d3"), c(5, 13, 3)),
                    s = rep(paste0("s", 1:8), c(2, 3, 2, 2, 4, 5, 1, 2)))
chain$c <- sprintf("c%02d", seq_len(nrow(chain)))
crossed <- data.frame(d = rep(c("d1", "d2"), c(5, 5)), e = rep(c("e1", "e2", "e1", "e2"), c(1, 4, 3, 2)))
crossed$c <- sprintf("c%02d", seq_len(nrow(crossed)))
set.seed(21)
n <- 120
plain <- data.frame(g = sprintf("g%02d", rep(1:12, 10)), f = rep(c("a", "b", "c"), each = 40),
                    h = rep(c("u", "v"), 60), x = round(rnorm(n) + 2, 3),
                    k = sample(c(1, 2, 5), n, TRUE, c(.6, .3, .1)))
plain$y <- round(rnorm(n) + match(plain$g, unique(plain$g)) %% 4 + (plain$f == "b") * plain$x +
                   0.5 * plain$k * (plain$f == "a"), 3)
data <- list(chain = rows_of(chain), crossed = rows_of(crossed), plain = plain)

exact_f <- function(fit, joint) {  # joint_tests writes three decimals
  b <- fixef(fit)
  v <- as.matrix(vcov(fit))
  sapply(attr(joint, "est.fcns"), function(l) {
    l <- if (is.matrix(l)) l else matrix(l, 1)
    l <- l[, if (ncol(l) == length(b)) TRUE else names(coef_all(fit)) %in% names(b), drop = FALSE]
    q <- qr(l %*% v %*% t(l))$rank
    est <- l %*% b
    drop(t(est) %*% MASS::ginv(l %*% v %*% t(l)) %*% est) / q
  })
}
coef_all <- function(fit) fixef(fit, add.dropped = TRUE)

case <- function(name, formula, mean_of = NULL) {
  own <- data[[name]]
  fit <- lmerTest::lmer(as.formula(formula), own, control = lmerControl(
    optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5), check.conv.singular = "ignore"))
  joint <- joint_tests(fit, lmer.df = "satterthwaite")
  f <- exact_f(fit, joint)
  stopifnot(max(abs(f - joint$F.ratio)) < 6e-4)
  out <- list(data = name, formula = formula, term = joint[["model term"]], df_num = joint$df1, F = unname(f))
  if (!is.null(mean_of)) {
    means <- as.data.frame(emmeans(fit, mean_of, lmer.df = "satterthwaite"))
    out$mean_of <- mean_of
    out$mean <- means$emmean
    out$std_error <- means$SE
  }
  out
}

cases <- list(
  case("chain", "y ~ t * d + s + c + (1 | g)", "t"),
  case("crossed", "y ~ t * d * e + c + (1 | g)", "t"),
  case("plain", "y ~ f * k + (0 + factor(k) | g)", "f"),
  case("plain", "y ~ x + f:x + (1 | g)"),
  case("plain", "y ~ f + f:x + (1 | g)"),
  case("plain", "y ~ h + f:h + (1 | g)"),
  case("plain", "y ~ f:h + (1 | g)"),
  case("plain", "y ~ x + f + h:f:x + (1 | g)"),
  case("plain", "y ~ f + x + f:h + (1 | g)"))
write_json(list(data = data, cases = cases), "terms.json", digits = NA, auto_unbox = TRUE, dataframe = "columns")
