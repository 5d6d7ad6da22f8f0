"""Other right ways to kv_cache, next_token_distribution, generate and hugging_face_import."""

import torch
from einops import rearrange

from course.grading.catalogue import alternative
from tests.assignment1_basics.alternatives.attention import (
    complex_rope,
    einsum_attention,
    online_attention,
    swapped_rope,
)


@alternative("kv_cache", "a buffer of max_seq_len positions, unused ones hidden by the mask")
def preallocated():
    def run(d_model, num_heads, max_seq_len, theta, q, k, v, o, chunks):
        cache, seen, outputs = None, 0, []
        for chunk in chunks:
            new = [rearrange(chunk @ w.T, "b s (h d) -> b h s d", h=num_heads) for w in (q, k, v)]
            if cache is None:
                shape = (*new[0].shape[:2], max_seq_len, new[0].shape[3])
                cache = torch.zeros(2, *shape)
            positions = torch.arange(seen, seen + chunk.shape[1])
            query, key = (
                complex_rope(t.shape[-1], theta, max_seq_len, t, positions) for t in new[:2]
            )
            cache[0][:, :, positions], cache[1][:, :, positions] = key, new[2]
            seen += chunk.shape[1]
            mask = torch.arange(max_seq_len) <= positions[:, None]
            heads = einsum_attention(query, cache[0], cache[1], mask)
            outputs.append(rearrange(heads, "b h s d -> b s (h d)") @ o.T)
        return outputs

    return {"run_attention_with_kv_cache": run}


@alternative("kv_cache", "keys cached before RoPE and rotated at every use")
def rotated_late():
    def run(d_model, num_heads, max_seq_len, theta, q, k, v, o, chunks):
        keys, values, outputs = [], [], []
        for chunk in chunks:
            query, key, value = (
                (chunk @ w.T).unflatten(-1, (num_heads, -1)).transpose(1, 2) for w in (q, k, v)
            )
            keys.append(key)
            values.append(value)
            all_keys, all_values = torch.cat(keys, 2), torch.cat(values, 2)
            place = torch.arange(all_keys.shape[2])
            all_keys = swapped_rope(key.shape[-1], theta, max_seq_len, all_keys, place)
            own = place[-chunk.shape[1] :]
            query = swapped_rope(key.shape[-1], theta, max_seq_len, query, own)
            heads = online_attention(query, all_keys, all_values, place <= own[:, None])
            outputs.append(heads.transpose(1, 2).flatten(2) @ o.T)
        return outputs

    return {"run_attention_with_kv_cache": run}


@alternative("kv_cache", "every chunk token by token, one cache for each head")
def token_by_token():
    def run(d_model, num_heads, max_seq_len, theta, q, k, v, o, chunks):
        width = d_model // num_heads
        rows = [slice(h * width, (h + 1) * width) for h in range(num_heads)]
        caches = [([], []) for _ in rows]
        outputs = []
        for chunk in chunks:
            tokens = []
            for x in chunk.split(1, dim=1):
                heads = []
                for own, (keys, values) in zip(rows, caches, strict=True):
                    position = torch.tensor([len(keys)])
                    query, key = (
                        complex_rope(width, theta, max_seq_len, x @ w[own].T, position)
                        for w in (q, k)
                    )
                    keys.append(key)
                    values.append(x @ v[own].T)
                    heads.append(einsum_attention(query, torch.cat(keys, 1), torch.cat(values, 1)))
                tokens.append(torch.cat(heads, -1) @ o.T)
            outputs.append(torch.cat(tokens, 1))
        return outputs

    return {"run_attention_with_kv_cache": run}


def stable_softmax(x):
    e = torch.exp(x - x.amax(-1, keepdim=True))
    return e / e.sum(-1, keepdim=True)


@alternative("next_token_distribution", "logits masked with -inf, softmax after each filter")
def masked_logits():
    def run(logits, temperature=1.0, top_k=None, top_p=None, min_p=None):
        if temperature == 0:
            first = logits.argmax(-1, keepdim=True)
            return (torch.arange(logits.shape[-1]) == first).float()
        x = logits / temperature
        if top_k is not None:
            x = torch.where(x >= torch.topk(x, top_k).values[..., -1:], x, -torch.inf)
        if top_p is not None:
            p, order = torch.sort(stable_softmax(x), descending=True)
            drop = torch.cumsum(p, -1) - p >= top_p
            x = x.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), -torch.inf)
        if min_p is not None:
            p = stable_softmax(x)
            x = torch.where(p < min_p * p.amax(-1, keepdim=True), -torch.inf, x)
        return stable_softmax(x)

    return {"run_next_token_distribution": run}


@alternative("next_token_distribution", "row by row, token by token from the most probable down")
def greedy_loop():
    def row(logits, temperature, top_k, top_p, min_p):
        result = torch.zeros_like(logits)
        if temperature == 0:
            result[logits.argmax()] = 1
            return result
        p = stable_softmax(logits.double() / temperature)
        order = sorted(range(len(p)), key=lambda token: -p[token].item())[:top_k]
        total, mass = sum(p[token] for token in order), 0.0
        for token in order:
            reached = top_p is not None and mass >= top_p
            if reached or (min_p is not None and p[token] < min_p * p[order[0]]):
                break
            result[token] = p[token]
            mass += p[token] / total
        return result / result.sum()

    def run(logits, temperature=1.0, top_k=None, top_p=None, min_p=None):
        rows = logits.reshape(-1, logits.shape[-1])
        rows = [row(each, temperature, top_k, top_p, min_p) for each in rows]
        return torch.stack(rows).reshape(logits.shape)

    return {"run_next_token_distribution": run}


@alternative("next_token_distribution", "thresholds in sorted order, ascending")
def ascending():
    def run(logits, temperature=1.0, top_k=None, top_p=None, min_p=None):
        x = logits - logits.amax(-1, keepdim=True)
        p = stable_softmax(x / temperature) if temperature else (x == 0) / (x == 0).sum(-1, True)
        p, order = p.sort(-1)
        if top_k is not None:
            p = torch.cat((torch.zeros_like(p[..., :-top_k]), p[..., -top_k:]), -1)
            p = p / p.sum(-1, keepdim=True)
        if top_p is not None:
            p = p * (p.cumsum(-1) > 1 - top_p)  # what is above the tail of 1 - top_p
        if min_p is not None:
            p = p * (p / p[..., -1:] >= min_p)
        return torch.gather(p / p.sum(-1, keepdim=True), -1, order.argsort(-1))

    return {"run_next_token_distribution": run}


@alternative("generate", "the inverse of the cumulative distribution, recursive")
def inverse_cdf():
    def run(next_token_logits, prompt_ids, max_new_tokens, temperature, stop_token_ids, generator):
        new = []
        while len(new) < max_new_tokens and not (new and new[-1] in stop_token_ids):
            logits = next_token_logits([*prompt_ids, *new])
            if temperature == 0:
                new.append(max(range(len(logits)), key=lambda token: logits[token].item()))
                continue
            sums = stable_softmax(logits.double() / temperature).cumsum(0)
            draw = torch.rand((), generator=generator, dtype=torch.float64) * sums[-1]
            new.append(int((sums <= draw).sum()))
        return new

    return {"run_generate": run}


@alternative("generate", "Gumbel noise and the maximum")
def gumbel():
    def run(next_token_logits, prompt_ids, max_new_tokens, temperature, stop_token_ids, generator):
        ids = torch.tensor(prompt_ids)
        for _ in range(max_new_tokens):
            logits = next_token_logits(ids.tolist()).double()
            uniform = torch.rand(logits.shape, generator=generator, dtype=torch.float64)
            noise = -torch.log(-torch.log(uniform.clamp(min=1e-300)))
            token = (logits + temperature * noise).argmax()
            ids = torch.cat((ids, token[None]))
            if token.item() in stop_token_ids:
                break
        return ids[len(prompt_ids) :].tolist()

    return {"run_generate": run}


@alternative("hugging_face_import", "rows picked by an index, keys renamed by replacement")
def row_index():
    def run(state_dict, num_heads, num_kv_heads):
        result = {}
        for key, weight in state_dict.items():
            if "rotary_emb" in key:
                continue
            for heads, name in ((num_heads, "q_proj"), (num_kv_heads, "k_proj")):
                if name in key:
                    half = weight.shape[0] // heads // 2
                    rows = [
                        head * 2 * half + i + second * half
                        for head in range(heads)
                        for i in range(half)
                        for second in (0, 1)
                    ]
                    weight = weight[rows]
            for theirs, ours in (
                ("model.embed_tokens", "token_embeddings"),
                ("model.norm", "ln_final"),
                ("model.", ""),
                ("self_attn.o_proj", "attn.output_proj"),
                ("self_attn", "attn"),
                ("mlp.gate_proj", "ffn.w1"),
                ("mlp.down_proj", "ffn.w2"),
                ("mlp.up_proj", "ffn.w3"),
                ("input_layernorm", "ln1"),
                ("post_attention_layernorm", "ln2"),
            ):
                key = key.replace(theirs, ours)
            result[key] = weight
        result.setdefault("lm_head.weight", result["token_embeddings.weight"])
        return result

    return {"run_import_hugging_face_llama": run}
