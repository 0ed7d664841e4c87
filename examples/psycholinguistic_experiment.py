"""
A psycholinguistic experiment, from data to paragraph
=====================================================

In a lexical decision task, readers decide whether the letters on a screen form a word. Forty
subjects saw the same 48 words, half of which are frequent in the language. Before each word another
one was shown, the prime, related in meaning or not. Subjects and words are both samples, of readers
and of the language, and each has effects of its own: the factors are crossed.
"""

import numpy as np
import pandas as pd

from skmixed import lmer
from skmixed.inference import anova, comparisons, marginal_means, random_effects_tests, report
from skmixed.plotting import EffectsDisplay, check_model

# %%
# The data are simulated, so that the truth is known. Each word has a related prime for half of the
# subjects, and an unrelated one for the others; each subject has 12 words in each of the four
# conditions. Unrelated primes slow the decision by 7 % for rare words, by 3 % for frequent ones.
rng = np.random.default_rng(20)
n_subjects, n_items = 40, 48
subject, item = np.divmod(np.arange(n_subjects * n_items), n_items)
is_unrelated, is_rare = (subject + item // 2) % 2, item % 2
log_time = 6.4 + 0.03 * is_unrelated + 0.08 * is_rare + 0.04 * is_unrelated * is_rare
log_time += rng.normal(0, 0.15, n_subjects)[subject] + rng.normal(0, 0.07, n_items)[item]
log_time += rng.normal(0, 0.05, n_subjects)[subject] * is_unrelated
log_time += rng.normal(0, 0.18, len(item))
trials = pd.DataFrame(
    {
        "subject": [f"s{k + 1:02}" for k in subject],
        "item": [f"w{k + 1:02}" for k in item],
        "prime": np.where(is_unrelated, "unrelated", "related"),
        "frequency": np.where(is_rare, "low", "high"),
        "time": np.exp(log_time),
    }
)
trials = trials[rng.random(len(trials)) > 0.04]  # wrong answers are left out
print(trials.groupby(["frequency", "prime"])["time"].describe()[["count", "mean", "std"]].round(0))

# %%
# Response times are skewed, and effects on them are more nearly proportional than additive: the
# model is of their logarithms. Subjects have intercepts and effects of the prime, words intercepts.
model = lmer("np.log(time) ~ prime * frequency + (prime | subject) + (1 | item)", trials)
print(model.variance_components_.round(3).to_string(index=False))

# %%
# First the assumptions: residuals should scatter evenly around 0, and residuals and effects should
# be normal. On the scale of milliseconds the second panel would rise.
checks = check_model(model, trials)

# %%
# Do subjects differ in how much the prime helps? Each random-effects term is tested by a fit
# without it. By the design the slopes belong in the model, whatever the test says.
print(random_effects_tests(model))

# %%
# The main effects and their interaction, by tests of type III with Satterthwaite's degrees of
# freedom. Those of the frequency are close to the number of words, since it varies between words;
# those of the prime are close to the number of subjects; the interaction has those of the trials.
print(anova(model))

# %%
# Geometric means of the four conditions in milliseconds, of a typical subject and a typical word,
# and the ratios of all pairs, adjusted to their number and to how the means are correlated.
means = marginal_means(model, "prime", by="frequency", scale="response")
print(means, comparisons(means, by=[], reverse=True, adjust="mvt"), sep="\n\n")

# %%
# The same in a picture, over the single responses. The intervals overlap, although the prime has a
# clear effect: they count how much subjects and words differ, which the difference between two
# primes does not, since all subjects and all words had both.
display = EffectsDisplay.from_estimator(model, "prime", by="frequency", X=trials)
_ = display.axes_[0].set(ylabel="response time (ms)", ylim=(300, 1300))

# %%
# Last, the sentences for the paper. What the results mean is for the author to write.
print(report(model))
