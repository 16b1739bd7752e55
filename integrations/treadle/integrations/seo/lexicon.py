"""English words that decide where a phrase may begin and end. Data, no logic.

Four classes, from strongest to weakest:

* `STOP`: function words; a phrase never begins or ends with one.
* `CONNECTORS`: the few function words a phrase may have inside ("connect *to* a database").
* `VERBS` and `MODIFIERS`: end a phrase in running text; in a heading a verb may open it.
* `GENERIC`: sound inside a phrase ("user *settings*") but no keyword alone.
"""

from treadle.integrations.seo.vocabulary import vocabulary

STOP = vocabulary(
    """
    twelve fifteen eighteen twenty thirty forty fifty sixty ninety dozen half
    a an the this that these those it its it's i me my we us our you your yours he him his she
    her hers they them their theirs one ones who whom whose which what when where why how and or
    but nor so yet if then else than as of at by for with about against between into through
    during before after above below to from up down in out on off over under again further once
    here there all any both each few more most other others some such no not only own same too
    very can cannot can't could couldn't will won't would wouldn't shall should shouldn't may
    might must do does did doing don't doesn't didn't done be is isn't are aren't was wasn't
    were weren't been being am have has had having hasn't haven't i'm i've you're you've you'll
    we're we've we'll they're let's that's there's what's also just now ever never always often
    sometimes usually already still even however therefore thus hence because since while
    although though unless until whether via per within without across along among around behind
    beside besides beyond despite except inside instead like near onto outside rather regardless
    throughout toward towards upon versus vs etc eg ie e.g i.e yes ok okay please either neither
    every everything everyone everybody anything anyone anybody something someone somebody
    nothing nobody none whatever whichever whenever wherever lot lots much many several various
    certain another next last first second third two three four five six seven eight nine ten
    hundred thousand zero et al vice versa otherwise meanwhile furthermore moreover perhaps
    maybe quite almost enough back away together apart ago
    """
)

CONNECTORS = vocabulary("of for to with in on from as and")

_BASE_VERBS = """
    accept access achieve acquire act add adjust affect agree allow answer appear append apply
    appreciate arrive ask assign assume attach attempt avoid become begin behave believe belong
    bring browse bundle buy calculate call care carry cause change check choose claim clear click
    come compare complete comprise configure confirm connect consider consist contain continue
    convert copy correspond create decide define delete deliver depend deploy describe determine
    differ disable discover display drag drop earn edit emit enable encourage encounter end enforce
    enjoy ensure enter establish evaluate examine exceed execute exist expand expect experience
    explain explore expose extend extract face fail feel fetch fill find finish fit fix focus
    follow forget forward gain gather generate get give go grant grow guarantee handle happen have
    hear help hide highlight hold hope identify ignore illustrate imagine implement imply improve
    include increase indicate influence inherit initialize inject insert inspect install intend
    introduce invite invoke involve keep know lack launch lead learn leave let live load locate
    look lose love maintain make manage mark match matter mean meet mention merge mind miss modify
    move name navigate need note notice obtain occur offer operate organize override own pass
    paste pause pay perform persist pick place play point prefer prepare present press prevent
    proceed produce protect prove provide publish pull push put quit raise reach read realize
    receive recognize recommend reduce refer reflect refuse regard reject relate release rely
    remain remember remove rename render repeat replace represent require reset resolve respond
    restart restrict result retain retrieve return reuse reveal revert review rewrite run save say
    scroll see seem select send separate serve set share show simplify sit skip solve sound speak
    specify spend split stand start stay stop store submit succeed suggest supply support suppose
    switch take talk tell tend think toggle treat trigger try turn type understand update upgrade
    upload use utilize validate vary verify view visit wait walk want warn watch wear wish wonder
    work write
"""
# Nouns as often as verbs in the phrases people search for: they do not end a phrase.
NOUN_VERBS = vocabulary(
    """
    access act answer call care cause change check claim display drop end experience face fit
    fix focus handle help highlight hope launch lead load look mark match mind name note offer
    pass pause place play point present press result return review run share show sound split
    stand start stay supply support switch talk trigger type update upgrade upload use view
    visit walk watch work store
    """
)
_IRREGULAR = """
    became begun began brought bought came chose chosen drew drawn fell felt found gave given gone
    went got gotten grew grown heard held kept knew known led left lost made meant met paid said saw
    seen sent shown spent stood spoke spoken taken took taught told thought understood won worn
    wrote     written built ran hid hidden sat lay laid read written set
"""


def _forms(verb: str) -> set[str]:
    """A regular verb's spellings; wrong ones ("keeped") do no harm in a stop list."""
    if verb.endswith("e"):
        return {verb, verb + "s", verb + "d", verb[:-1] + "ing"}
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        return {verb, verb[:-1] + "ies", verb[:-1] + "ied", verb + "ing"}
    doubled = verb + verb[-1]
    endings = ("", "s", "es", "ed", "ing")
    return {verb + ending for ending in endings} | {doubled + "ed", doubled + "ing"}


IMPERATIVES = frozenset(_BASE_VERBS.split()) | frozenset(
    ["build", "test", "host", "self-host", "brew"]
)
"""Verbs that may open a heading that is a search query: "deploy on AWS"."""

BODY_VERBS = vocabulary(
    """
    run return call use check set build start stop turn try test need
    """
)
"""Rather verbs than nouns where running text puts them first: "run workflow" is no noun phrase."""

VERBS = (
    frozenset(
        form
        for verb in _BASE_VERBS.split()
        for form in (_forms(verb) - {verb, verb + "s"} if verb in NOUN_VERBS else _forms(verb))
    )
    | frozenset(_IRREGULAR.split())
    | vocabulary("shows stands looks begins works helps holds starts stops")
    | frozenset(["runs", "returns", "uses", "needs", "turns", "sets"])
)

PARTICIPLES = vocabulary(
    """
    automated embedded guided shared managed distributed structured advanced unlimited combined
    self-guided roasted grounded augmented federated seed bed shed need speed feed
    """
)
"""The few words in -ed that open a sound phrase: "guided tour"."""

MODIFIERS = vocabulary(
    """
    long real
    able accordingly actual additional appropriate approximate available aware bad basic best
    better big bigger biggest bit brief careful clean clear clearer close common complete
    complex concrete correct corresponding current currently dedicated default different
    difficult direct directly easier easiest easily easy effective efficient empty enough entire
    equal especially essential exact exactly existing explicit extra extremely familiar far fast
    faster fewer final former fresh full fully further general generally given good gradually
    great greater hard harder helpful higher highest honest ideal identical immediate
    immediately important inactive incorrect individual initial intended interesting invalid
    involved larger largest later latest least less likely limited little longer lower lowest
    main major manually maximum meaningful minimum minor missing modern multiple necessary new
    newer newest nice normal obvious old older optional original overall particular partial
    particularly past perfect possible potential powerful practical precise preferred present
    previous previously primary prior proper properly pure quick quickly quiet quieter rare
    ready realistic reasonable recent recommended related relevant reliable remaining required
    respective rich right robust rough safe sensible sensitive separate serious sharp short
    shorter significant similar similarly simple simpler simplest simply slow slower slight
    slightly smaller smart smooth soft solid special specific specified standard straightforward
    strong strongly subsequent subtle sudden suitable supported sure tiny total true typical
    typically unique unlike unnecessary unused updated useful usual valid valuable wide wider
    willing wrong own whole half double whose today tomorrow yesterday soon together anyway
    somewhere anywhere everywhere else inline non whichever latter
    """
)

GENERIC = vocabulary(
    """
    january february march april may june july august september october november december
    monday tuesday wednesday thursday friday saturday sunday
    phone mobile street city euro percent monthly yearly weekly daily card ball cup
    ability action addition advantage amount answer approach area article aspect attempt author
    background base basics behavior behaviour benefit bit block body bottom box bug button case
    cases category center chance change changes character choice circumstance class code column
    comment company concept condition conclusion configuration consideration contact content
    context control copy core cost count country couple course data date day days default
    definition degree demand description design desk detail details development difference
    direction document documentation doc docs edge effect effort element end entry environment
    error event evening example examples experience explanation expression fact factor faq faqs
    feature features feedback field fields file files fix flow folder form format friend
    frequency function future gap goal group guide guides hand head heading help hint home hour
    hours icon idea ideas image impact index information info input inputs instance instruction
    instructions intro introduction issue issues item items job kind kinds label language layer
    layout level library life limit limits line link links list location log logic logs look
    machine management manner map mark market matter maximum meaning means measure member menu
    message messages method methods middle mind minute minutes mistake mode model models moment
    money month months morning name names need needs night node nodes note notes number numbers
    object offer office online operation opportunity option options order output outputs
    overview owner pack page pages pair panel parameter parameters part parts pass pattern
    people percent performance period person piece place plan plans platform point points
    position possibility power practice prerequisite prerequisites press price problem problems
    procedure process product products profile program progress project property provider
    purpose quality question questions range rate reader reason reasons record reference
    references region request requirement requirements resource resources response rest result
    results right role room row rows rule rules sample scale scenario scope screen search season
    section sections security selection series service services set setting settings setup shape
    share shop side sign site size solution source sources space stage start state statement
    status step steps string strings structure stuff style subject success suggestion sum
    summary support surface switch system systems tab table tables target task tasks team teams
    technique term terms test text thing things time times tip tips title today tool tools top
    topic total trigger triggers troubleshooting trouble tutorial type types understanding unit
    update updates usage use user users value values variable variables version versions view
    visit visitor way ways website week weeks weekend word words work world year years yes agent
    agents app apps application applications template templates snippet snippets workflow
    workflows database databases api chat http url json id key tag tags readme welcome max min
    chain pro plus lite beta alpha demo true false null none software pricing checklist beginner
    comparison alternative small https localhost integration strategy organization advanced
    basic general custom free public private local global internal external static dynamic
    manual automatic active open popular visual technical personal professional business
    customer customers client clients staff water air back front card care colour color email
    """
)

ASKING = vocabulary(
    """
    best top cheap cheapest buy order price pricing prices cost costs comparison compare compared
    review reviews rating guide tutorial checklist example examples choose beginner
    """
)
"""Say what is asked about a topic, not which topic: one page answers "best …" and "… reviews"."""

BOILERPLATE = (
    "read more",
    "learn more",
    "click here",
    "find out more",
    "see also",
    "see more",
    "get started",
    "getting started",
    "sign up",
    "sign in",
    "log in",
    "log out",
    "table of contents",
    "on this page",
    "in this article",
    "next page",
    "previous page",
    "next steps",
    "what's next",
    "back to top",
    "skip to content",
    "skip to main content",
    "edit this page",
    "was this page helpful",
    "last updated",
    "min read",
    "minute read",
    "all rights reserved",
    "privacy policy",
    "cookie policy",
    "cookie settings",
    "terms of service",
    "terms and conditions",
    "contact us",
    "about us",
    "follow us",
    "share this",
    "subscribe to our newsletter",
    "newsletter",
    "related articles",
    "related posts",
    "related pages",
    "frequently asked questions",
    "add to cart",
    "add to basket",
    "view all",
    "show more",
    "load more",
    "copyright",
    "main menu",
    "good to know",
    "best practices",
    "key features",
    "use case",
    "use cases",
    "release notes",
    "step by step",
    "real world",
    "real-world",
    "real-time",
    "built-in",
    "third-party",
    "step-by-step",
    "day-to-day",
    "long-running",
    "long-term",
    "short-term",
    "high-level",
    "low-level",
    "git clone",
    "day to day",
    "trade off",
    "trade offs",
    "rule of thumb",
)
