# Fits a model again and again when asked: `program.py` says by which lines it is asked, and
# answers. The names used here come from `in_r.py`.
suppressMessages(library(package, character.only = TRUE))
path <- function(name) file.path(folder, paste0(name, ".bin"))
n <- file.info(path("y"))$size / 8
d <- as.data.frame(sapply(columns, function(c) readBin(path(c), "double", n), simplify = FALSE))
for (c in setdiff(labels, times)) d[[c]] <- factor(as.integer(d[[c]]))
for (c in times) d[[c]] <- if (package == "mmrm") factor(d[[c]]) else as.integer(d[[c]])
quiet <- function(expression) suppressWarnings(suppressMessages(expression))
invisible(try(quiet(fit(droplevels(head(d, warm_rows)))), silent = TRUE))

numbers <- function(x) paste0("[", paste(sprintf("%.17g", x), collapse = ","), "]")
matrix_rows <- function(m) {
  m <- as.matrix(m)
  paste0("[", paste(apply(m, 1, numbers), collapse = ","), "]")
}
used <- function() sum(proc.time()[c("user.self", "sys.self")])
or_null <- function(x) if (is.null(x)) "null" else sprintf("%.17g", x)

cat("ready\n"); flush(stdout())
input <- file("stdin", "r")
while (length(readLines(input, 1))) {
  count <- 0
  start <- used()
  repeat {
    m <- quiet(fit(d))
    count <- count + 1
    passed <- used() - start
    if (passed > shortest) break
  }
  parts <- vapply(covariances(m), matrix_rows, "")
  cat(sprintf('{"seconds": %.17g, "estimates": {"fixed": %s, "covariances": [%s], ',
              passed / count, numbers(fixed(m)), paste(parts, collapse = ",")))
  cat(sprintf('"variance": %s, "log_likelihood": %s}}\n', or_null(variance(m)), or_null(value(m))))
  flush(stdout())
}
