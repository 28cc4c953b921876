"""
Where does a translator look?
=============================

A toy language says numbers backwards: "one two three" becomes "drei zwei eins". While the translator writes a word, it
looks back at the words that it reads. The picture shows how much at which.
"""

from itertools import product

from skneural import AttentionDisplay, Seq2SeqTranslator

GERMAN = {
    "one": "eins",
    "two": "zwei",
    "three": "drei",
    "four": "vier",
    "five": "fünf",
}
sources = [" ".join(words) for words in product(GERMAN, repeat=3)]
targets = [
    " ".join(GERMAN[word] for word in reversed(source.split()))
    for source in sources
]

translator = Seq2SeqTranslator(
    d_model=32,
    d_feedforward=64,
    n_encoder_layers=1,
    n_decoder_layers=1,
    batch_tokens=256,
    epochs=50,
    dropout=0.0,
    learning_rate=0.01,
    warmup_steps=10,
    random_state=0,
).fit(sources, targets)
print(translator.predict(["four one five"]))

# %%
AttentionDisplay.from_estimator(translator, ["four one five"])
