"""Sentiment: is a short review positive or negative?"""

from random import Random

from lib.tasks.drawing import shuffled
from lib.tasks.items import Item, Task

CHOICES = (" positive", " negative")
POSITIVE = (
    # a restaurant
    "The waiter was friendly and the soup tasted wonderful.",
    "Our table was ready on time and every dish was fresh.",
    "The fish was cooked to perfection and the bread was still warm.",
    "A cosy little place with generous portions and a charming host.",
    "The dessert alone was worth the trip across town.",
    # a hotel
    "The room was spotless and had a lovely view of the bay.",
    "Breakfast was delicious and the staff helped us with everything.",
    "The bed was so comfortable that I slept like a baby.",
    "A quiet hotel with a beautiful garden and a heated pool.",
    "They gave us a better room for free and a warm welcome.",
    # a film
    "The acting was brilliant and the ending moved me to tears.",
    "It made the whole audience laugh from the first minute on.",
    "A clever story, beautiful pictures and a great score.",
    "I was on the edge of my seat the whole time.",
    "The young director has made a small masterpiece.",
    # a book
    "I could not put this novel down and read it in one night.",
    "The characters feel alive and the language is a delight.",
    "A gripping book that made me think for weeks.",
    "Each chapter is funnier and smarter than the one before.",
    "The author explains a hard subject with charm and clarity.",
    # headphones
    "The sound is rich and clear, and the battery lasts for days.",
    "They fit perfectly and I forget that I am wearing them.",
    "These headphones are light, sturdy and easy to set up.",
    "The best pair of headphones that I have ever owned.",
    "Music sounds amazing on them, even on a noisy train.",
    # a household machine
    "This vacuum cleaner is powerful, quiet and a joy to use.",
    "The kettle looks elegant and boils water in no time.",
    "My new blender is easy to clean and works like a charm.",
    "After five years the washing machine still runs perfectly.",
    "The coffee maker is simple, fast and makes excellent coffee.",
    # shoes and clothes
    "The boots kept my feet warm and dry all winter.",
    "The coat fits beautifully and I get compliments on it.",
    "These shoes were comfortable from the very first step.",
    "The sweater is soft, warm and very well made.",
    "The jacket arrived early and looks even better than the photo.",
    # a concert or a show
    "The band was in top form and the crowd sang along happily.",
    "The pianist played with such grace that we held our breath.",
    "A magical evening with great seats and superb musicians.",
    "The dancers were stunning and the costumes gorgeous.",
    "The singer thrilled us and came back for three encores.",
    # a journey
    "The train was clean and on time, and the seats were comfortable.",
    "Our guide was funny, kind and knew every corner of the city.",
    "The flight was smooth and the crew looked after us splendidly.",
    "The boat tour was the highlight of our holiday.",
    "The taxi came at once and the driver was polite and careful.",
    # an app or a service
    "The app is fast, well designed and easy to understand.",
    "The plumber came within an hour and did an excellent job.",
    "Customer service answered at once and solved my problem.",
    "My teacher is patient and I have learned so much already.",
    "The new update is fantastic and everything runs smoothly.",
)
NEGATIVE = (
    # a restaurant
    "The waiter was rude and the soup was cold.",
    "We waited for two hours and every dish was stale.",
    "The fish was burnt and the bread was as hard as a stone.",
    "A dirty little place with tiny portions and a grumpy host.",
    "The dessert was so awful that I could not finish it.",
    # a hotel
    "The room was filthy and smelled of old smoke.",
    "Breakfast was terrible and nobody on the staff would help us.",
    "The bed was so bad that my back hurt for days.",
    "A noisy hotel with broken lifts and a disgusting pool.",
    "They lost our booking and treated us like a nuisance.",
    # a film
    "The acting was wooden and the ending made no sense.",
    "It bored the whole audience from the first minute on.",
    "A stupid story, ugly pictures and a horrible score.",
    "I nearly fell asleep and left before the end.",
    "The director has wasted a good cast on a dull script.",
    # a book
    "I gave up on this novel after fifty tedious pages.",
    "The characters are flat and the language is clumsy.",
    "A boring book that I regret having bought.",
    "Each chapter is duller and sillier than the one before.",
    "The author makes a simple subject confusing and dreary.",
    # headphones
    "The sound is thin and scratchy, and the battery dies in an hour.",
    "They hurt my ears and fall off whenever I move.",
    "These headphones are heavy, flimsy and a pain to set up.",
    "The worst pair of headphones that I have ever owned.",
    "Music sounds dreadful on them, even in a quiet room.",
    # a household machine
    "This vacuum cleaner is weak, loud and a pain to use.",
    "The kettle leaks and takes forever to boil water.",
    "My new blender is impossible to clean and broke at once.",
    "After five weeks the washing machine has failed completely.",
    "The coffee maker is slow, clumsy and makes bitter coffee.",
    # shoes and clothes
    "The boots leaked and my feet were wet and cold all winter.",
    "The coat fits badly and the zip broke on the first day.",
    "These shoes gave me blisters from the very first step.",
    "The sweater is scratchy, thin and very poorly made.",
    "The jacket arrived late and looks nothing like the photo.",
    # a concert or a show
    "The band was out of tune and the crowd left angry.",
    "The pianist made one mistake after another and it was painful.",
    "A miserable evening with bad seats and careless musicians.",
    "The dancers were sloppy and the costumes ridiculous.",
    "The singer was hoarse and walked off after three songs.",
    # a journey
    "The train was dirty and late, and the seats were torn.",
    "Our guide was rude, bored and knew nothing about the city.",
    "The flight was a nightmare and the crew ignored us.",
    "The boat tour was the low point of our holiday.",
    "The taxi never came and the company was rude on the phone.",
    # an app or a service
    "The app is slow, ugly and crashes all the time.",
    "The plumber came a day late and made the leak worse.",
    "Customer service never answered and my problem remains.",
    "My teacher is impatient and I have learned nothing at all.",
    "The new update is horrible and nothing works any more.",
)
WORDINGS = {
    # template: (the prompt, the opening)
    "review": ("Review: {}", "Sentiment:"),
    "customer": ("A customer wrote: {}", "The opinion of the customer is"),
    "comment": ("Read this comment: {}", "Opinion:"),
}
EXAMPLES = {
    "review": (("I hate this lamp, it is useless.", 1), ("I love this lamp, it is perfect.", 0)),
    "customer": (("The chair is pretty and very solid.", 0), ("The chair is ugly and broke at once.", 1)),
    "comment": (("What an awful party, never again.", 1), ("What a great party, thank you!", 0)),
}
"""Texts and right choices of what is shown before the items of each template."""


def task() -> Task:
    """100 reviews of own writing, half of each kind, with an example of each kind before them.

    Each positive review has a negative one in the same template, about the same thing and of like length.
    """
    templates = list(WORDINGS)
    reviews = [
        (templates[number % len(templates)], text, answer)
        for answer, texts in enumerate((POSITIVE, NEGATIVE))
        for number, text in enumerate(texts)
    ]
    return Task(
        "sentiment",
        "contextual",
        "positive and negative reviews",
        "after Jin et al. 2025, who take reviews of IMDB",
        tuple(_item(f"sentiment-{n:03d}", *review) for n, review in enumerate(shuffled(Random("sentiment"), reviews))),
        tuple(
            _item(f"sentiment-example-{template}-{n}", template, *example)
            for template, examples in EXAMPLES.items()
            for n, example in enumerate(examples)
        ),
    )


def _item(name: str, template: str, text: str, answer: int) -> Item:
    prompt, opening = WORDINGS[template]
    return Item(name, prompt.format(text), CHOICES, answer, opening, template)
