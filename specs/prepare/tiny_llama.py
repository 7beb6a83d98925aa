"""A tiny language model that says something: a Llama of a million parameters, trained on Python's standard library.

Run by hand: `python tiny_llama.py OUT [STEPS]`, with torch 2.13, transformers 5 and tokenizers 0.23 installed. Writes
`OUT/model/` (config, byte-level BPE tokeniser with a chat template, weights in bfloat16), `OUT/texts.jsonl` and
`OUT/answers.jsonl` (held-out text and line completions to judge accuracy on), `OUT/calibration.jsonl` (texts to
quantise with). The default 1500 steps take about twelve minutes of one core.

The text is the source of the standard library of the interpreter that runs this (licence: PSF-2.0). Modules are split
by a hash of their name: one in ten is held out, and nothing of it is trained on or calibrated with. The same
interpreter and library versions give the same files.
"""

import ast
import hashlib
import json
import random
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

THREADS = 1
VOCABULARY, POSITIONS = 2048, 2048
BATCH, WINDOW, STEPS, WARM_UP_STEPS, PEAK_RATE = 8, 256, 1500, 60, 5e-3
LEFT_OUT = frozenset(
    ("site-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo", "__pycache__", "ensurepip", "encodings")
)
TEXT_ROWS, ANSWER_ROWS, CALIBRATION_ROWS = 240, 240, 128
TEXT_LETTERS = (160, 900)
CONTEXT_LINES, COMMON_LINE, SAME_LINE_AT_MOST, ANSWER_LETTERS = 6, 25, 8, (3, 30)
BEGIN, END, PAD, USER, ASSISTANT = "<s>", "</s>", "<pad>", "<|user|>", "<|assistant|>"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|assistant|>\n{{ message['content'] }}{{ eos_token }}\n"
    "{% else %}<|user|>\n{{ message['content'] }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def main(out: Path, steps: int) -> None:
    """Write the model and its data into `out`."""
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    modules = dict(library_modules())
    held_out = {name: text for name, text in modules.items() if is_held_out(name)}
    training = {name: text for name, text in modules.items() if name not in held_out}
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = trained_tokenizer([*training.values()])
    documents = [*training.values(), *conversations(training)]
    write_rows(out / "texts.jsonl", [{"text": text} for text in passages(held_out, TEXT_ROWS)])
    write_rows(out / "answers.jsonl", completions(training, held_out))
    write_rows(out / "calibration.jsonl", [{"text": text} for text in passages(training, CALIBRATION_ROWS)])
    tokens = token_stream(tokenizer, documents)
    print(f"{len(training)} modules, {len(held_out)} held out, {len(tokens):,} tokens", file=sys.stderr, flush=True)
    model = trained_model(tokens, steps).to(torch.bfloat16)
    tokenizer.save_pretrained(out / "model")
    model.save_pretrained(out / "model")


def library_modules() -> Iterator[tuple[str, str]]:
    """Name and source of every module of the standard library that is code people read, by name."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if not set(relative.parts) & LEFT_OUT:
            try:
                yield relative.as_posix(), path.read_text(encoding="utf-8").expandtabs(4)
            except UnicodeDecodeError:
                continue


def is_held_out(name: str) -> bool:
    """Whether this module is in the evaluation data: one in ten."""
    return hashlib.sha256(name.encode()).digest()[0] % 10 == 0


def trained_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokeniser over these texts; every text starts with BEGIN."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BEGIN, END, PAD, USER, ASSISTANT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A $B", special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BEGIN, eos_token=END, pad_token=PAD, model_max_length=POSITIONS
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def conversations(modules: dict[str, str]) -> list[str]:
    """Documentation strings as conversations in the chat template's form: what does NAME do? its first paragraph."""
    found = []
    for name, text in modules.items():
        try:
            tree = ast.parse(text)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and (documentation := ast.get_docstring(node)):
                answer = " ".join(documentation.split("\n\n")[0].split())
                question = f"What does {node.name} of {name.removesuffix('.py').replace('/', '.')} do?"
                found.append(f"{USER}\n{question}\n{ASSISTANT}\n{answer}")
    return found


def token_stream(tokenizer: PreTrainedTokenizerFast, documents: list[str]) -> torch.Tensor:
    """All documents after one another in a seeded order, each between BEGIN and END: int64[tokens]."""
    shuffled = random.Random(0).sample(documents, len(documents))  # noqa: S311
    rows = tokenizer(shuffled, verbose=False)["input_ids"]
    return torch.tensor([token for row in rows for token in (*row, tokenizer.eos_token_id)])


def trained_model(tokens: torch.Tensor, steps: int) -> LlamaForCausalLM:
    """A Llama of about a million parameters after `steps` steps of AdamW on random windows of `tokens`."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        initializer_range=0.04,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(bos_token_id=0, eos_token_id=1, pad_token_id=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.95), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=PEAK_RATE, total_steps=steps, pct_start=min(0.3, WARM_UP_STEPS / steps)
    )
    starts = torch.Generator().manual_seed(0)
    model.train()
    for step in range(steps):
        places = torch.randint(len(tokens) - WINDOW, (BATCH,), generator=starts)
        batch = torch.stack([tokens[place : place + WINDOW] for place in places])
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 49:
            print(f"step {step + 1}: loss {loss.item():.3f}", file=sys.stderr, flush=True)
    return model.eval()


def passages(modules: dict[str, str], count: int) -> list[str]:
    """Blocks of text between blank lines, joined until long enough, drawn with a seed."""
    shortest, longest = TEXT_LETTERS
    found = []
    for text in modules.values():
        passage = ""
        for block in text.split("\n\n"):
            passage = f"{passage}\n\n{block}" if passage else block
            if len(passage) >= shortest:
                if len(passage) <= longest:
                    found.append(passage.strip("\n"))
                passage = ""
    return random.Random(0).sample(found, min(count, len(found)))  # noqa: S311


def completions(training: dict[str, str], held_out: dict[str, str]) -> list[dict[str, str]]:
    """Held-out lines that the training text also has, cut after their first word: what is the rest of the line?"""
    known = Counter(line.strip() for text in training.values() for line in text.splitlines())
    shortest, longest = ANSWER_LETTERS
    found, seen = [], Counter[str]()
    for name in sorted(held_out, key=lambda name: hashlib.sha256(name.encode()).digest()):
        lines = held_out[name].splitlines()
        for number in range(CONTEXT_LINES, len(lines)):
            line = lines[number]
            first, _, rest = line.strip().partition(" ")
            is_usable = known[line.strip()] >= COMMON_LINE and shortest <= len(rest) <= longest
            if is_usable and seen[line.strip()] < SAME_LINE_AT_MOST:
                seen[line.strip()] += 1
                indent = line[: len(line) - len(line.lstrip())]
                context = "\n".join(lines[number - CONTEXT_LINES : number])
                found.append({"prompt": f"{context}\n{indent}{first}", "answer": rest.strip()})
    return random.Random(0).sample(found, min(ANSWER_ROWS, len(found)))  # noqa: S311


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else STEPS)
