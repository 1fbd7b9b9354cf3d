"""What the metadata of a model file says: shapes, inputs, and the formulas of docs/design.md, anew in Python, so that a file
that onestep reads otherwise is found out."""

import math

import torch


def conditions(metadata: dict) -> list[dict]:
    """The network's inputs behind x, the noise input and the target, as format 2 lists them."""
    found = list(metadata.get("conditions", []))
    if "labels" in metadata:
        found.append({"name": "label", "kind": "class", **metadata["labels"]})
    if "guidance_input" in metadata["network"]:
        found.append({"name": "guidance", "kind": "scalar", "range": [0, 1e6], **metadata["network"]["guidance_input"]})
    return found


def sizes(metadata: dict, elsewhere: bool = False) -> dict[str, int]:
    """The sample's free sizes: the defaults, or `elsewhere` larger ones, each another."""
    sample = metadata["sample"]
    by = sample.get("multiple", 1) if elsewhere else 0
    return {name: size + by * (i + 1) for i, (name, size) in enumerate(sample.get("default", {}).items())}


def data_size(metadata: dict, name: str | int, elsewhere: bool = False) -> int:
    """A size of the data's shape: a number, a free size such as H, or a number of times one, such as 8H."""
    if isinstance(name, int):
        return name
    free = name.lstrip("0123456789")
    return int(name[: -len(free)] or 1) * sizes(metadata, elsewhere)[free]


def has_map(metadata: dict) -> bool:
    """Whether the labels may be a map, one for each pixel."""
    return any(condition.get("map") for condition in conditions(metadata))


def inputs(metadata: dict, count: int, elsewhere: bool = False, label_map: bool = False) -> tuple[torch.Tensor, ...]:
    """Arguments of the network: x, the noise input, [target], conditions. `elsewhere`: with other sizes and other scalars
    than the defaults, where the metadata leaves them free. `label_map`: with a map of labels, where that may be one."""
    generator = torch.Generator().manual_seed(count)
    free = sizes(metadata, elsewhere)

    def normal(shape):
        return torch.randn(count, *(free.get(size, size) for size in shape), generator=generator)

    x = normal(metadata["sample"]["shape"])
    sigmas = torch.linspace(math.log(metadata["noise"]["sigma_min"]), math.log(metadata["noise"]["sigma_max"]), count).exp()
    given = [x, torch.tensor([encode(metadata, float(sigma)) for sigma in sigmas])]
    if metadata["role"] == "flow_map":
        given.append(given[1] / 2)
    for condition in conditions(metadata):
        kind = condition["kind"]
        if kind == "class":
            index = torch.arange(count) % condition["count"]
            one_hot = condition.get("encoding") == "one_hot"
            if label_map and condition.get("map"):
                # Stripes, each sample's its own, which no cell of any network is as wide as.
                index = (index.view(-1, 1, 1) + torch.arange(x.shape[3]) // 3).expand(-1, x.shape[2], -1) % condition["count"]
            given.append(torch.nn.functional.one_hot(index, condition["count"]).float() if one_hot else index)
        elif kind == "scalar":
            value = torch.full((count,), float(condition["default"]))
            low, high = condition["range"]
            given.append(low + (value - low + torch.arange(count)) % (high - low) if elsewhere else value)
        else:
            given.append(normal(condition["shape"]))
            if condition.get("mask"):
                length = condition["shape"][0]
                given.append(torch.arange(length) < length - torch.arange(count)[:, None] % length)
    return tuple(given)


def token_ids(condition: dict, count: int) -> torch.Tensor:
    """Ids of texts, [count, L], for a condition of kind tokens."""
    generator = torch.Generator().manual_seed(count)
    return torch.randint(condition["count"], (count, condition["shape"][0]), generator=generator)


def timestep_sigmas(schedule: dict) -> torch.Tensor:
    count, kind = schedule["count"], schedule["kind"]
    if kind == "cosine":
        def bar(t):
            return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
        betas = torch.tensor([min(1 - bar((i + 1) / count) / bar(i / count), 0.999) for i in range(count)], dtype=torch.float64)
    else:
        power = 0.5 if kind == "scaled_linear" else 1
        betas = torch.linspace(schedule["beta_start"]**power, schedule["beta_end"]**power, count, dtype=torch.float64)
        betas = betas ** (1 / power)
    a = torch.cumprod(1 - betas, 0)
    return ((1 - a) / a).sqrt()


def flow_time(metadata: dict, sigma: float) -> float:
    """tau, where sigma = noise_scale tau / (1 - tau)."""
    return sigma / (metadata["network"]["noise_input"].get("noise_scale", 1) + sigma)


def encode(metadata: dict, sigma: float) -> float:
    noise_input = metadata["network"]["noise_input"]
    kind, scale = noise_input["kind"], noise_input.get("scale", 1)
    if kind == "log_sigma":
        return scale * math.log(sigma)
    if kind == "angle":
        return scale * math.atan(sigma / metadata["network"]["prediction"]["sigma_data"])
    if kind == "flow_time":
        return scale * flow_time(metadata, sigma)
    if kind == "timestep":
        return float((timestep_sigmas(noise_input["schedule"]).log() - math.log(sigma)).abs().argmin())
    return sigma


def coefficients(metadata: dict, sigma: float) -> tuple[float, float, float]:
    """skip, out, in: the denoised sample is skip * x + out * F(in * x)."""
    prediction = metadata["network"]["prediction"]
    kind, data = prediction["kind"], prediction.get("sigma_data", 0.5)
    if kind == "edm":
        above, total = sigma - prediction["boundary_sigma"], math.hypot(sigma, data)
        return data**2 / (above**2 + data**2), above * data / total, 1 / total
    if kind == "trigflow":
        t = math.atan(sigma / data)
        return math.cos(t) ** 2, -math.sin(t) * data, math.cos(t) / data
    if kind == "flow":
        tau = flow_time(metadata, sigma)
        return 1 - tau, -tau, 1 - tau
    if kind == "denoised":
        return 0, 1, 1
    a = 1 / math.sqrt(1 + sigma**2)
    skip, out = {"epsilon": (1, -sigma), "v": (a * a, -a * sigma), "sample": (0, 1)}[kind]
    if "timestep_scaling" in prediction:
        scaled = prediction["timestep_scaling"] * encode(metadata, sigma)
        c_skip, c_out = data**2 / (scaled**2 + data**2), scaled / math.hypot(scaled, data)
        skip, out = c_skip * a + c_out * skip, c_out * out
    return skip, out, a


def start(metadata: dict, z: torch.Tensor, sigma: float) -> torch.Tensor:
    """The noisy sample at the first level, made of the unit Gaussian z."""
    kind = metadata["network"]["prediction"]["kind"]
    if metadata.get("sampling", {}).get("start", "level" if kind in ("edm", "denoised") else "unit") == "level":
        return sigma * z
    # A flow's noise has the deviation noise_scale where nothing of the data is left.
    deviation = metadata["network"]["noise_input"].get("noise_scale", 1) if kind == "flow" else 1
    return deviation * z / coefficients(metadata, sigma)[2]
