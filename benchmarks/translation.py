"""Translation: BLEU of Seq2SeqTranslator at its defaults, and its speed beside plain Keras and PyTorch.

``python benchmarks/translation.py --data ../shared/data`` trains on the training pairs of each language pair named
(``--pairs``), with default parameters and the seeds named, and scores the validation file: sacreBLEU, 13a, cased, beams
of the default number. It prints CPU seconds, tokens a second and the memory that was used.

``--speed`` measures, on 3,000 pairs of Multi30k, target tokens that are learned in a CPU second (the second epoch):
ours; the same model of Keras compiled and fitted as a user would, on sentences padded to the longest; and, where
PyTorch is installed, ``nn.Transformer`` of the same sizes in a plain loop over batches sorted by length. Then sentences
that are translated in a CPU second: ours with a cache, and Keras's usual loop, which computes all tokens anew for each.
"""

from __future__ import annotations

import argparse
import gzip
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

PAIRS = {
    "de-en": ("multi30k_{}.en-de.tsv.gz", 1, 0),
    "en-de": ("multi30k_{}.en-de.tsv.gz", 0, 1),
    "en-fr": ("multi30k_{}.en-fr.tsv.gz", 0, 1),
    "tatoeba en-fr": ("tatoeba_{}.en-fr.tsv.gz", 0, 1),
}


def read(folder: Path, pair: str, part: str) -> tuple[list[str], list[str]]:
    """Read sources and targets of a language pair."""
    name, source, target = PAIRS[pair]
    with gzip.open(folder / "translation" / name.format(part), "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    return [row[source] for row in rows], [row[target] for row in rows]


def quality(folder: Path, pair: str, seed: int, epochs: int | None) -> None:
    """Train at default parameters and score the validation file."""
    import sacrebleu

    from skneural import Seq2SeqTranslator

    X, y = read(folder, pair, "train")
    X_val, y_val = read(folder, pair, "val")
    translator = Seq2SeqTranslator(random_state=seed, verbose=2, epochs=epochs or "auto")
    started = time.process_time()
    translator.fit(X, y)
    fitted = time.process_time()
    found = translator.predict(X_val)
    predicted = time.process_time()
    bleu = sacrebleu.metrics.BLEU(force=True)
    score = bleu.corpus_score(found.tolist(), [y_val])
    rotated = bleu.corpus_score(found.tolist(), [y_val[7:] + y_val[:7]])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    greedy = sacrebleu.corpus_bleu(translator.set_params(beam_size=1).predict(X_val).tolist(), [y_val], force=True)
    print(
        f"{pair}, seed {seed}: BLEU {score.score:.2f} of {len(X_val)} ({bleu.get_signature()}), without beams "
        f"{greedy.score:.2f}, against others' references {rotated.score:.1f}; fit {fitted - started:.0f} CPU s, "
        f"{len(X_val) / (predicted - fitted):.0f} sentences a CPU second, {memory:.1f} GB",
        flush=True,
    )


def speed(folder: Path) -> None:
    """Compare tokens learned, and sentences translated, in a CPU second."""
    from skneural import Seq2SeqTranslator

    X, y = (part[:3000] for part in read(folder, "de-en", "train"))
    translator = Seq2SeqTranslator(epochs=1, random_state=0)
    started = time.process_time()
    translator.fit(X, y)
    print(f"first fit, with compiling: {time.process_time() - started:.0f} CPU s")
    sources, targets = (translator.tokenizer_.tokens_of(part) for part in (X, y))
    n_tokens = sum(len(target) + 1 for target in targets)
    rates = {"skneural": n_tokens / seconds(lambda: translator.fit(X, y))}
    rates["plain Keras"] = n_tokens / keras_epoch(translator, sources, targets)
    try:
        rates["PyTorch"] = n_tokens / torch_epoch(translator, sources, targets)
    except ImportError:
        print("PyTorch is not installed, so it is left out.")
    for name, rate in rates.items():
        print(f"{name:<12} {rate:>8,.0f} target tokens learned in a CPU second", flush=True)

    few = X[:60]
    for n_beams in (1, 4):
        translator.set_params(beam_size=n_beams)
        rate = 1000 / seconds(lambda: translator.predict(X[:1000]))
        print(f"skneural, {n_beams} beams: {rate:.0f} sentences translated in a CPU second", flush=True)
    rate = len(few) / seconds(lambda: keras_greedy(translator, sources[: len(few)]))
    print(f"Keras's loop without a cache: {rate:.1f} sentences in a CPU second", flush=True)


def seconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def padded(rows: list[list[int]]) -> np.ndarray:
    length = max(len(row) for row in rows)
    return np.array([[*row, *[0] * (length - len(row))] for row in rows], np.int32)


def keras_epoch(translator, sources, targets) -> float:
    """CPU seconds of the second epoch of Keras's own fit, batches of 64 sentences."""
    import keras

    from skneural._architectures.translation import build_translation

    model = build_translation(translator._architecture(translator._head()))
    X = [padded([[*row, 2] for row in sources]), padded([[1, *row] for row in targets])]
    following = padded([[*row, 2] for row in targets])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    model.compile(keras.optimizers.Adam(1e-3, global_clipnorm=1.0), loss=loss)
    model.fit(X, following, batch_size=64, epochs=1, verbose=0)
    return seconds(lambda: model.fit(X, following, batch_size=64, epochs=1, verbose=0))


def torch_epoch(translator, sources, targets) -> float:
    """CPU seconds of the second epoch of a plain loop of PyTorch, batches of some 1,024 tokens of like lengths."""
    import torch
    from torch import nn

    sizes = translator._architecture(translator._head())

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(sizes.n_tokens, sizes.d_model)
            self.body = nn.Transformer(
                sizes.d_model, sizes.n_heads, sizes.n_encoder_layers, sizes.n_decoder_layers, sizes.d_feedforward,
                sizes.dropout, batch_first=True, norm_first=True,
            )  # fmt: skip

        def forward(self, source, target):
            causal = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
            hidden = self.body(
                self.table(source), self.table(target), tgt_mask=causal, src_key_padding_mask=source == 0,
                memory_key_padding_mask=source == 0, tgt_is_causal=True,
            )  # fmt: skip
            return hidden @ self.table.weight.T

    torch.manual_seed(0)
    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, betas=(0.9, 0.98))
    loss = nn.CrossEntropyLoss(ignore_index=0, label_smoothing=0.1)
    order = sorted(range(len(targets)), key=lambda row: len(targets[row]))
    batches, size = [], 0
    for row in order:
        if not batches or size + len(targets[row]) + 1 > 1024:
            batches.append([])
            size = 0
        batches[-1].append(row)
        size += len(targets[row]) + 1

    def epoch() -> None:
        for rows in batches:
            source = torch.from_numpy(padded([[*sources[row], 2] for row in rows]).astype(np.int64))
            target = torch.from_numpy(padded([[1, *targets[row]] for row in rows]).astype(np.int64))
            following = torch.from_numpy(padded([[*targets[row], 2] for row in rows]).astype(np.int64))
            optimizer.zero_grad()
            loss(network(source, target).flatten(0, 1), following.flatten()).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()

    epoch()
    return seconds(epoch)


def keras_greedy(translator, sources) -> None:
    """Translate by calling the model for each token, with all those before it, all sentences at once."""
    model = translator.model_
    source = padded([[*row, 2] for row in sources])
    said = np.ones((len(sources), 1), np.int32)
    for _ in range(2 * source.shape[1] + 10):
        following = model([source, said], training=False).numpy()[:, -1].argmax(axis=1)
        said = np.concatenate([said, following[:, None].astype(np.int32)], axis=1)
        if (said == 2).any(axis=1).all():
            break


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with translation/*.tsv.gz")
    parser.add_argument("--pairs", nargs="*", default=["de-en"], choices=list(PAIRS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="other than the default")
    parser.add_argument("--speed", action="store_true", help="measure speed instead")
    options = parser.parse_args()
    if not (options.data / "translation").is_dir():
        raise SystemExit(f"{options.data} has no folder 'translation': nothing to measure.")
    if options.speed:
        speed(options.data)
        return
    for pair in options.pairs:
        for seed in options.seeds:
            quality(options.data, pair, seed, options.epochs)


if __name__ == "__main__":
    main()
