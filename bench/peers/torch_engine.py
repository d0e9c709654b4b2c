"""PyTorch, as one engine among others; see protocol.ts for what it is asked and answers.

Models come from transformers, LoRA from peft. Without peft, LoRA is the module below; without
transformers, BERT is written out below by the same sums, and T5 is refused.
"""

import json
import math
import os
import sys
import time

import torch
import torch.nn.functional as F

COMPARED_STEPS = 5
cuda = torch.cuda.is_available()
device = torch.device("cuda" if cuda else "cpu")
torch.set_num_threads(len(os.sched_getaffinity(0)))
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False

try:
    import transformers
except ImportError:
    transformers = None
try:
    import peft
except ImportError:
    peft = None


def read_safetensors(path):
    """Tensors of a file of f32: a header's length, the header as JSON, then the bytes."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        flat = torch.frombuffer(data, dtype=torch.float32, count=(end - start) // 4, offset=start)
        tensors[name] = flat.reshape(entry["shape"]).clone()
    return tensors


def wait():
    if cuda:
        torch.cuda.synchronize()


class Task:
    """Work that is ready: `once` repeats it, `values` are compared."""

    def __init__(self, once, values):
        self.once = once
        self.values = values

    def run(self, count):
        for _ in range(count):
            self.once()
        wait()


def matmul(job):
    tensors = read_safetensors(job["weights"])
    a, b = tensors["a"].to(device), tensors["b"].to(device)
    out = torch.empty_like(a)
    torch.matmul(a, b, out=out)
    return Task(lambda: torch.matmul(a, b, out=out), out[0].tolist())


class PlainBert(torch.nn.Module):
    """BERT with a classification head, under Hugging Face's parameter names."""

    def __init__(self, config, tensors):
        super().__init__()
        self.config = config
        self.names = {name: name.replace(".", "/") for name in tensors}
        for name, value in tensors.items():
            self.register_parameter(self.names[name], torch.nn.Parameter(value.to(device)))

    def forward(self, ids):
        c = self.config
        p = lambda name: self._parameters[self.names[name]]
        linear = lambda x, name: F.linear(x, p(f"{name}.weight"), p(f"{name}.bias"))

        def norm(x, name):
            shape = (c["hidden_size"],)
            return F.layer_norm(x, shape, p(f"{name}.weight"), p(f"{name}.bias"), c["layer_norm_eps"])

        batch, length = ids.shape
        heads = c["num_attention_heads"]
        size = c["hidden_size"] // heads
        split = lambda x: x.view(batch, length, heads, size).transpose(1, 2)
        e = "bert.embeddings"
        x = F.embedding(ids, p(f"{e}.word_embeddings.weight"))
        x = x + p(f"{e}.position_embeddings.weight")[:length] + p(f"{e}.token_type_embeddings.weight")[0]
        x = norm(x, f"{e}.LayerNorm")
        for i in range(c["num_hidden_layers"]):
            path = f"bert.encoder.layer.{i}"
            q, k, v = (split(linear(x, f"{path}.attention.self.{n}")) for n in ("query", "key", "value"))
            weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(size), -1)
            seen = (weights @ v).transpose(1, 2).reshape(batch, length, -1)
            seen = linear(seen, f"{path}.attention.output.dense")
            x = norm(seen + x, f"{path}.attention.output.LayerNorm")
            inner = F.gelu(linear(x, f"{path}.intermediate.dense"))
            x = norm(linear(inner, f"{path}.output.dense") + x, f"{path}.output.LayerNorm")
        return linear(torch.tanh(linear(x[:, 0], "bert.pooler.dense")), "classifier")


def load(module, tensors):
    """Fills a module: every tensor of the file must have its place, and every place its tensor."""
    own = dict(module.named_parameters())
    with torch.no_grad():
        for name, value in tensors.items():
            own.pop(name).copy_(value)
    if own:
        raise ValueError(f"no values for {sorted(own)[:3]}")
    return module.to(device)


def bert(model, tensors):
    """Returns the module and what computes its logits."""
    config = model["config"]
    ids = torch.tensor(model["ids"], device=device)
    if transformers is None:
        module = PlainBert(config, tensors)
        return module, lambda: module(ids)
    fields = {k: v for k, v in config.items() if k != "model_type"}
    fields.update(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=2)
    module = load(transformers.BertForSequenceClassification(transformers.BertConfig(**fields)), tensors)
    mask = torch.ones_like(ids)
    return module, lambda: module(input_ids=ids, attention_mask=mask).logits


class PlainLora(torch.nn.Module):
    """A frozen linear map and beside it the factored one that trains (Hu et al., 2021)."""

    def __init__(self, base, rank, alpha):
        super().__init__()
        self.base_layer = base
        self.lora_A = torch.nn.Linear(base.in_features, rank, bias=False)
        self.lora_B = torch.nn.Linear(rank, base.out_features, bias=False)
        self.scaling = alpha / rank

    def forward(self, x):
        return self.base_layer(x) + self.lora_B(self.lora_A(x)) * self.scaling


def with_lora(module, rank, alpha):
    """Attaches LoRA to every query and value, by peft where it is there; returns the T5 inside."""
    if peft is not None:
        targets = ["q", "v"]
        config = peft.LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=targets)
        return peft.get_peft_model(module, config).base_model.model
    module.requires_grad_(False)
    for parent in [one for one in module.modules() if hasattr(one, "q") and hasattr(one, "v")]:
        parent.q, parent.v = PlainLora(parent.q, rank, alpha), PlainLora(parent.v, rank, alpha)
    return module


def t5(model, tensors):
    """Returns the module and what computes its loss."""
    if transformers is None:
        raise RuntimeError("it takes Python's transformers")
    fields = {k: v for k, v in model["config"].items() if k != "model_type"}
    fields["initializer_factor"] = float(fields["initializer_factor"])
    module = transformers.T5ForConditionalGeneration(transformers.T5Config(**{**fields, "dropout_rate": 0.0}))
    if model["method"] == "lora":
        inner = with_lora(module, **{k: model["options"][k] for k in ("rank", "alpha")})
        own = {
            name.replace(".base_layer", "").replace(".default", ""): value
            for name, value in inner.named_parameters()
        }
        with torch.no_grad():
            for name, value in tensors.items():
                own.pop(name).copy_(value)
        if own:
            raise ValueError(f"no values for {sorted(own)[:3]}")
        module.to(device)
    else:
        load(module, tensors)
    ids = torch.tensor(model["ids"], device=device)
    mask = torch.ones_like(ids)
    labels = torch.tensor(model["labels"], device=device)
    return module, lambda: module(input_ids=ids, attention_mask=mask, labels=labels).loss


def step(job):
    model = job["model"]
    half = model["precision"] == "f16"
    if half and not cuda:
        raise RuntimeError("fp16 autocast is measured on a GPU alone")
    tensors = read_safetensors(job["weights"])
    if model["config"]["model_type"] == "bert" and model["method"] == "full":
        module, logits = bert(model, tensors)
        labels = torch.tensor(model["labels"], device=device)
        loss_of = lambda: F.cross_entropy(logits(), labels)
    elif model["config"]["model_type"] == "t5":
        module, loss_of = t5(model, tensors)
    else:
        return None
    module.train()
    o = model["optimizer"]
    optimizer = torch.optim.AdamW(
        [p for p in module.parameters() if p.requires_grad],
        lr=o["learningRate"],
        betas=(o["beta1"], o["beta2"]),
        eps=o["epsilon"],
        weight_decay=o["weightDecay"],
    )
    scaler = torch.cuda.amp.GradScaler() if half else None

    def once():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.float16, enabled=half) if cuda else torch.enable_grad():
            loss = loss_of()
        if scaler is None:
            loss.backward()
            optimizer.step()
        else:
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        return loss.detach()

    return Task(once, [once().item() for _ in range(COMPARED_STEPS)])


def inference(job):
    module, logits = bert(job["model"], read_safetensors(job["weights"]))
    module.eval()

    def once():
        with torch.no_grad():
            return logits()

    return Task(once, once().flatten().tolist())


def hello():
    versions = [torch.__version__]
    versions += [f"transformers {transformers.__version__}"] if transformers else ["plain modules"]
    versions += [f"peft {peft.__version__}"] if peft else ["plain LoRA"] if transformers else []
    where = torch.cuda.get_device_name() if cuda else f"{torch.get_num_threads()} cores"
    return {
        "engine": "PyTorch eager, " + ("CUDA" if cuda else "CPU"),
        "version": ", ".join(versions),
        "device": where,
        "software": not cuda,
    }


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    task = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["ask"] == "hello":
                reply = hello()
            elif request["ask"] == "round":
                start = time.perf_counter()
                task.run(request["count"])
                reply = {"ms": (time.perf_counter() - start) * 1000}
            else:
                task = None
                reply = {}
                if request["ask"] == "prepare":
                    job = request["job"]
                    makers = {"matmul": matmul, "step": step, "inference": inference}
                    task = makers[job["kind"]](job)
                    reply = {"cannot": "not written for it"} if task is None else {"values": task.values}
        except Exception as error:  # an answer, whatever it was
            text = str(error).splitlines()
            reply = {"cannot": f"{type(error).__name__}: {text[0] if text else ''}"}
        answers.write("answer " + json.dumps(reply) + "\n")
        answers.flush()


main()
