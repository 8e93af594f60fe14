"""One decode step of an ordinary decoder-only model on a CPU, in few operations.

transformers' modules spend as long between the matrix products of a small model as in them. Here
the products that read the same input are one, rotary embedding and residual sums happen in place,
and attention reads each row at its own length (`tiers`). Which models this is true of is not
guessed from their names: `decoder` compares the logits of a probe with the model's own and gives
None where they differ. Prefill and everything else stay with the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.cache_utils import DynamicCache

from ssd_eval.backends.tiers import Reading, Shape, Tiers

PROBE = 12  # tokens
SLACK = 1e-4  # of the largest logit: rounding, and nothing else
ROPES = ("default", "linear", "llama3", "yarn")  # those that don't change with the length


@dataclass(frozen=True)
class Joined:
    """Linear layers of one input as one: [outputs, inputs] and [outputs] or None."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)


@dataclass(frozen=True)
class Norm:
    weight: Tensor
    epsilon: float

    def __call__(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, self.epsilon)


@dataclass(frozen=True)
class Layer:
    before: Norm
    heads: Joined  # queries, keys, values
    turned: tuple[Norm, Norm] | None  # queries' and keys' own norms
    out: Joined
    after: Norm
    gates: Joined  # gate, up
    down: Joined


class Decoder:
    """Reads `model`'s weights. Good for any number of batches, each with `Tiers` of its own."""

    def __init__(self, model: Any) -> None:
        config, body = model.config.get_text_config(), model.model
        self.heads: int = config.num_attention_heads
        self.shared: int = config.num_key_value_heads
        self.width: int = body.layers[0].self_attn.head_dim
        self.shape = Shape(len(body.layers), self.shared, self.width, model.dtype)
        self._embedding: Tensor = body.embed_tokens.weight
        self._rotary: nn.Module = body.rotary_emb
        self._scale: float = body.layers[0].self_attn.scaling
        self._layers = [_layer(each) for each in body.layers]
        self._norm = _norm(body.norm)
        self._head = _joined(model.lm_head)
        self._turns = self._turn(0)

    def weights(self) -> list[Tensor]:
        """What rows are multiplied by, [outputs, inputs] each."""
        layers = [(each.heads, each.out, each.gates, each.down) for each in self._layers]
        return [each.weight for each in (*chain.from_iterable(layers), self._head)]

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, positions: Tensor, tiers: Tiers) -> Tensor:
        """Next-token logits, [slots, vocabulary]. `tokens`, `positions`: int64 [slots]."""
        readings = tiers.readings(positions.numpy())
        order = torch.from_numpy(tiers.order())
        at = positions[order]
        turns = self._turned_by(at, int(at.max()))
        x = self._embedding[tokens[order]]
        for number, layer in enumerate(self._layers):
            x = self._block(number, layer, x, turns, readings)
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order))
        return self._head(self._norm(x[back]))

    def _block(
        self,
        number: int,
        layer: Layer,
        x: Tensor,
        turns: tuple[Tensor, Tensor],
        read: list[Reading],
    ) -> Tensor:
        rows = x.shape[0]
        mixed = layer.heads(layer.before(x)).view(rows, -1, self.width)
        if layer.turned is not None:
            _turn_norm(mixed, self.heads, self.shared, layer.turned)
        _rotate(mixed[:, : self.heads + self.shared], *turns)
        seen = self._attention(number, mixed, read).view(rows, -1)
        x = _added(x, seen, layer.out)
        gates = layer.gates(layer.after(x))
        gate, up = gates.chunk(2, dim=1)
        return _added(x, functional.silu(gate).mul_(up), layer.down)

    def _attention(self, number: int, mixed: Tensor, readings: list[Reading]) -> Tensor:
        """[rows, heads, width]; zeros for the last rows, which are in no tier."""
        queries = mixed[:, : self.heads] * self._scale
        out = torch.empty_like(queries)
        out[readings[-1].rows.stop :] = 0.0
        group = self.heads // self.shared
        for each in readings:
            each.write(number, mixed[each.rows, self.heads :])
            keys, values = each.keys_values(number)
            grouped = queries[each.rows].view(-1, group, self.width)
            scores = torch.bmm(grouped, keys.transpose(1, 2))
            scores.view(len(each.bias), self.heads, -1).add_(each.bias)
            torch.bmm(scores.softmax(-1), values, out=out[each.rows].view(-1, group, self.width))
        return out

    def _turned_by(self, positions: Tensor, longest: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines, each [rows, 1, width / 2]."""
        if longest >= len(self._turns[0]):
            self._turns = self._turn(2 * longest)
        cosines, sines = self._turns
        return cosines[positions].unsqueeze(1), sines[positions].unsqueeze(1)

    def _turn(self, longest: int) -> tuple[Tensor, Tensor]:
        """The model's own rotary embedding for all positions up to `longest`."""
        positions = torch.arange(longest + 1).unsqueeze(0)
        cosines, sines = self._rotary(self._embedding[:1], positions)
        half = self.width // 2
        return cosines[0, :, :half].contiguous(), sines[0, :, :half].contiguous()


def decoder(model: Any) -> Decoder | None:
    """A Decoder, where one gives the model's own logits; else None."""
    config = model.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or {}
    if model.device.type != "cpu" or model.dtype != torch.float32:
        return None
    if set(getattr(config, "layer_types", None) or ()) - {"full_attention"}:
        return None
    if getattr(config, "sliding_window", None) or rope.get("rope_type", "default") not in ROPES:
        return None
    try:
        found = Decoder(model)
        return found if _agrees(model, found) else None
    except (AttributeError, TypeError, ValueError, RuntimeError, MemoryError):
        return None  # modules of other names, shapes or arguments


@torch.inference_mode()
def _agrees(model: Any, found: Decoder) -> bool:
    """Whether the last tokens of a probe get the model's own logits."""
    size, half = model.config.get_text_config().vocab_size, PROBE // 2
    ids = torch.arange(1, PROBE + 1) * 7919 % size
    expected = model(input_ids=ids.unsqueeze(0), use_cache=False).logits[0]
    cache = DynamicCache()
    model(input_ids=ids[:half].unsqueeze(0), past_key_values=cache, use_cache=True)
    tiers = Tiers(found.shape, 1)
    kept: Any = cache.layers
    tiers.place(0, [(each.keys, each.values) for each in kept], half)
    logits = [found(ids[i : i + 1], torch.tensor([i]), tiers)[0] for i in range(half, PROBE)]
    difference = (torch.stack(logits) - expected[half:]).abs().max()
    return bool(difference <= SLACK * expected.abs().max())


def _layer(block: Any) -> Layer:
    attention, mlp = block.self_attn, block.mlp
    if type(mlp.act_fn).__name__ not in ("SiLU", "SiLUActivation"):
        raise TypeError("another activation")
    norms = (getattr(attention, "q_norm", None), getattr(attention, "k_norm", None))
    return Layer(
        before=_norm(block.input_layernorm),
        heads=_joined(attention.q_proj, attention.k_proj, attention.v_proj),
        turned=None if norms == (None, None) else (_norm(norms[0]), _norm(norms[1])),
        out=_joined(attention.o_proj),
        after=_norm(block.post_attention_layernorm),
        gates=_joined(mlp.gate_proj, mlp.up_proj),
        down=_joined(mlp.down_proj),
    )


def _joined(*modules: Any) -> Joined:
    """The modules' weights become parts of the joined one, so that nothing is held twice."""
    if any(type(each) is not nn.Linear for each in modules):
        raise TypeError("no plain linear layer")
    if len(modules) == 1:
        return Joined(modules[0].weight.detach(), _detached(modules[0].bias))
    weight = torch.cat([each.weight.detach() for each in modules])
    parts = torch.split(weight, [each.weight.shape[0] for each in modules])
    for module, part in zip(modules, parts, strict=True):
        module.weight.data = part
    biases = [_detached(each.bias) for each in modules]
    given = [each for each in biases if each is not None]
    if given and len(given) < len(biases):
        raise TypeError("some biases")
    return Joined(weight, torch.cat(given) if given else None)


def _detached(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach()


def _norm(module: Any) -> Norm:
    return Norm(module.weight.detach(), float(module.variance_epsilon))


def _turn_norm(mixed: Tensor, heads: int, shared: int, norms: tuple[Norm, Norm]) -> None:
    mixed[:, :heads] = norms[0](mixed[:, :heads])
    mixed[:, heads : heads + shared] = norms[1](mixed[:, heads : heads + shared])


def _rotate(heads: Tensor, cosines: Tensor, sines: Tensor) -> None:
    """Rotary embedding in place; the two halves of a head's width are the pairs."""
    first, second = heads.chunk(2, dim=2)
    cross = first * sines
    first.mul_(cosines).addcmul_(second, sines, value=-1)
    second.mul_(cosines).add_(cross)


def _added(x: Tensor, y: Tensor, layer: Joined) -> Tensor:
    if layer.bias is not None:
        return layer(y).add_(x)
    return torch.addmm(x, y, layer.weight.t())
