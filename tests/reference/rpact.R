# Twenty random group-sequential designs by rpact, the reference of `tests/vectors/sequential.rs`.
#
#   Rscript rpact.R > rpact.csv
#
# Lists within a field are separated by semicolons. `alpha` is the total: half of it on each side where `sided` is 2. Futility is non-binding.

suppressPackageStartupMessages(library(rpact))
set.seed(20261121)

versions <- paste0("R ", getRversion(), ", rpact ", packageVersion("rpact"))
number <- function(x) formatC(x, digits = 12, format = "g", width = -1)
several <- function(x) paste(number(x), collapse = ";")

families <- c("asOF", "asP", "asKD", "asHSD", "OF", "P", "WT", "HP", "asOF", "asKD",
              "asHSD", "asP", "WT", "asOF", "asHSD", "asKD", "asOF", "asP", "asKD", "asHSD")
futility <- c(rep("none", 16), "bsOF", "bsP", "bsKD", "bsHSD")

cat("# ", versions, "\n", sep = "")
cat("id,family,parameter,sided,alpha,beta,futility,futility_parameter,fractions,z,futility_z,inflation,asn_h0,asn_h1\n")
for (id in seq_along(families)) {
  family <- families[id]
  stop <- futility[id]
  looks <- sample(2:8, 1)
  steps <- runif(looks, 0.3, 1)
  fractions <- cumsum(steps) / sum(steps)
  fractions[looks] <- 1
  sided <- if (stop == "none" && family != "asKD") sample(1:2, 1) else 1
  alpha <- round(runif(1, 0.01, 0.06), 4)
  beta <- round(runif(1, 0.08, 0.25), 4)
  parameter <- switch(family, asKD = round(runif(1, 0.8, 3.5), 3), asHSD = round(runif(1, -5, 2), 3),
                      WT = round(runif(1, 0.05, 0.45), 3), HP = 3, 0)
  stop_parameter <- switch(stop, bsKD = round(runif(1, 1, 3), 3), bsHSD = round(runif(1, -4, 1), 3), 0)
  arguments <- list(kMax = looks, alpha = alpha, beta = beta, sided = sided, informationRates = fractions,
                    typeOfDesign = family, tolerance = 1e-10)
  if (family %in% c("asKD", "asHSD")) arguments$gammaA <- parameter
  if (family == "WT") arguments$deltaWT <- parameter
  if (family == "HP") arguments$constantBoundsHP <- parameter
  if (stop != "none") {
    arguments$typeBetaSpending <- stop
    arguments$bindingFutility <- FALSE
    if (stop_parameter != 0) arguments$gammaB <- stop_parameter
  }
  design <- do.call(getDesignGroupSequential, arguments)
  price <- getDesignCharacteristics(design)
  lower <- if (stop == "none") "" else several(design$futilityBounds)
  cat(id, family, number(parameter), sided, number(alpha), number(beta), stop, number(stop_parameter), several(fractions),
      several(design$criticalValues), lower, number(price$inflationFactor), number(price$averageSampleNumber0),
      number(price$averageSampleNumber1), sep = ",")
  cat("\n")
}
