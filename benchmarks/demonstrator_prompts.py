"""What the embedded model is asked, and what a good answer has; used nowhere else."""

from dataclasses import dataclass

from pydantic import JsonValue


@dataclass(frozen=True)
class ChoiceTask:
    """A question with its options; `right` is one of them."""

    question: str
    options: tuple[str, ...]
    right: str


@dataclass(frozen=True)
class ExtractTask:
    """A text, and the object that it holds."""

    text: str
    right: dict[str, JsonValue]


@dataclass(frozen=True)
class OutlineTask:
    """A subject, and beginnings of words that belong to it."""

    subject: str
    stems: tuple[str, ...]


@dataclass(frozen=True)
class RewordTask:
    """A sentence, and what must survive."""

    sentence: str
    kept: tuple[str, ...]


@dataclass(frozen=True)
class FactTask:
    """A question, with the passage that answers it or without; any of `right` will do."""

    question: str
    right: tuple[str, ...]
    passage: str = ""


MOOD = ("positive", "negative")
INTENT = ("informational", "navigational", "transactional")
TOPIC = ("sports", "cooking", "finance", "travel")
CHOICES = (
    ChoiceTask("The mood of: 'The staff were kind and the room was spotless.'", MOOD, "positive"),
    ChoiceTask("The mood of: 'It broke after two days and nobody replied.'", MOOD, "negative"),
    ChoiceTask("The mood of: 'I would buy this again tomorrow.'", MOOD, "positive"),
    ChoiceTask("The mood of: 'A complete waste of money.'", MOOD, "negative"),
    ChoiceTask("The mood of: 'Slow, noisy and overpriced.'", MOOD, "negative"),
    ChoiceTask("The mood of: 'My children loved every minute.'", MOOD, "positive"),
    ChoiceTask("The intent of the search 'how do bees make honey'", INTENT, "informational"),
    ChoiceTask("The intent of the search 'buy running shoes size 42'", INTENT, "transactional"),
    ChoiceTask("The intent of the search 'postgres documentation site'", INTENT, "navigational"),
    ChoiceTask("The intent of the search 'order pizza delivery'", INTENT, "transactional"),
    ChoiceTask("The intent of the search 'what is a mortgage'", INTENT, "informational"),
    ChoiceTask("The intent of the search 'library login page'", INTENT, "navigational"),
    ChoiceTask("The topic of: 'The goalkeeper saved two penalties.'", TOPIC, "sports"),
    ChoiceTask("The topic of: 'Simmer the onions until golden.'", TOPIC, "cooking"),
    ChoiceTask("The topic of: 'Bond yields fell for a third week.'", TOPIC, "finance"),
    ChoiceTask("The topic of: 'The night train leaves from platform 4.'", TOPIC, "travel"),
    ChoiceTask("The topic of: 'Whisk the eggs with sugar.'", TOPIC, "cooking"),
    ChoiceTask("The topic of: 'She ran the marathon in three hours.'", TOPIC, "sports"),
    ChoiceTask("Is this urgent: 'The server room is on fire!'", ("yes", "no"), "yes"),
    ChoiceTask("Is this urgent: 'Lunch menu for next month attached.'", ("yes", "no"), "no"),
    ChoiceTask("Is this spam: 'You won! Send your card number.'", ("yes", "no"), "yes"),
    ChoiceTask("Is this spam: 'Minutes of Tuesday's meeting.'", ("yes", "no"), "no"),
    ChoiceTask("The language of: 'Guten Morgen, wie geht es?'", ("German", "French"), "German"),
    ChoiceTask("The language of: 'Merci pour votre lettre.'", ("German", "French"), "French"),
)
EXTRACTS = (
    ExtractTask("Anna Berg, 34, lives in Oslo.", {"name": "Anna Berg", "age": 34, "city": "Oslo"}),
    ExtractTask("Omar is 51 and from Cairo.", {"name": "Omar", "age": 51, "city": "Cairo"}),
    ExtractTask(
        "In Lima you will meet Rosa Diaz, aged 28.",
        {"name": "Rosa Diaz", "age": 28, "city": "Lima"},
    ),
    ExtractTask("Ken, 19 years old, Kyoto.", {"name": "Ken", "age": 19, "city": "Kyoto"}),
    ExtractTask("Maria Silva (62) of Porto.", {"name": "Maria Silva", "age": 62, "city": "Porto"}),
    ExtractTask(
        "Our new clerk from Turin is Ugo, 45.", {"name": "Ugo", "age": 45, "city": "Turin"}
    ),
    ExtractTask("Lena Falk moved to Graz at 40.", {"name": "Lena Falk", "age": 40, "city": "Graz"}),
    ExtractTask(
        "Signed: Tom Reed, Leeds, age 37", {"name": "Tom Reed", "age": 37, "city": "Leeds"}
    ),
)
OUTLINES = (
    OutlineTask("growing tomatoes on a balcony", ("tomato", "plant", "soil", "water", "balcon")),
    OutlineTask(
        "preparing for a job interview", ("interview", "question", "compan", "job", "role")
    ),
    OutlineTask("cycling to work in winter", ("cycl", "bike", "winter", "cold", "rid")),
    OutlineTask("saving energy at home", ("energ", "heat", "home", "light", "appliance")),
    OutlineTask("teaching children to read", ("read", "child", "book", "letter", "word")),
    OutlineTask("choosing a first telescope", ("telescop", "star", "lens", "budget", "apertur")),
    OutlineTask("baking sourdough bread", ("bread", "dough", "starter", "flour", "bak")),
    OutlineTask("planning a small wedding", ("wedding", "guest", "venue", "budget", "ceremon")),
)
REWORDS = (
    RewordTask("The museum opens at 9 and closes at 17.", ("9", "17", "museum")),
    RewordTask("Please send the report to Clara before Friday.", ("Clara", "Friday", "report")),
    RewordTask("Our shop in Bergen sold 250 coats last week.", ("Bergen", "250", "coat")),
    RewordTask("The train to Prague was 40 minutes late.", ("Prague", "40", "train")),
    RewordTask("Heavy rain closed the bridge on Monday.", ("rain", "bridge", "Monday")),
    RewordTask("We need 12 volunteers for the garden day.", ("12", "volunteer", "garden")),
    RewordTask("Dr. Patel will see you on the third floor.", ("Patel", "third", "floor")),
    RewordTask("The price rose from 80 to 95 euros in May.", ("80", "95", "May")),
)
POND = (
    "The Alder Pond Trust looks after 14 ponds near Wexley. It was founded in 1987 by the teacher"
    " Ruth Hanley. Each spring about 1,000 frogs cross Mill Lane, and volunteers carry them over."
)
FACTS_GIVEN = (
    FactTask("How many ponds does the trust look after?", ("14", "fourteen"), POND),
    FactTask("Who founded the trust?", ("Ruth Hanley", "Hanley"), POND),
    FactTask("In which year was it founded?", ("1987",), POND),
    FactTask("How many frogs cross each spring?", ("1,000", "1000"), POND),
    FactTask("Which road do the frogs cross?", ("Mill Lane",), POND),
    FactTask("Near which town are the ponds?", ("Wexley",), POND),
    FactTask("What was the founder's profession?", ("teacher",), POND),
    FactTask("Who carries the frogs?", ("volunteer",), POND),
)
FACTS_BARE = (
    FactTask("What is the capital of France?", ("Paris",)),
    FactTask("How many legs has a spider?", ("8", "eight")),
    FactTask("Who wrote Hamlet?", ("Shakespeare",)),
    FactTask("Which planet is closest to the sun?", ("Mercury",)),
    FactTask("In which year did the Second World War end?", ("1945",)),
    FactTask("What is the chemical symbol of gold?", ("Au",)),
    FactTask("Which river flows through Vienna?", ("Danube",)),
    FactTask("How many minutes has a day?", ("1440", "1,440")),
)
