"""SEO analysis: terms, suggestions, intents, clusters, scores, a plan; counted, not guessed.

Every figure names the page it was counted on. What only a provider knows (volume, cost per click,
trend) stays null with a reason unless someone brings the figures.
"""

from treadle.integrations.seo.cluster import cluster_keywords
from treadle.integrations.seo.intent import classify_intents
from treadle.integrations.seo.normalize import normalize_keywords
from treadle.integrations.seo.plan import make_plan
from treadle.integrations.seo.score import score_keywords
from treadle.integrations.seo.suggest import suggest_keywords
from treadle.integrations.seo.terms import find_terms

TOOLS = (
    find_terms,
    suggest_keywords,
    normalize_keywords,
    classify_intents,
    cluster_keywords,
    score_keywords,
    make_plan,
)
