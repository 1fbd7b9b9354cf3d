"""What a scheduler of diffusers says of the network beside it."""

import json
from pathlib import Path

from . import ExportError
from .meaning import timestep_sigmas

KINDS = {"epsilon": "epsilon", "v_prediction": "v", "sample": "sample"}
BETAS = {"linear": "linear", "scaled_linear": "scaled_linear", "squaredcos_cap_v2": "cosine"}


def read(folder: Path) -> dict:
    file = folder / "scheduler/scheduler_config.json"
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ExportError(f"{file}: can't be read: {error}") from error


def starts_at_level(scheduler: dict) -> bool:
    """Whether the first sample of a variance-preserving model is sigma times the unit Gaussian, and its network's first input
    hence a little less than unit noise."""
    return scheduler["_class_name"].startswith("Euler") and scheduler.get("timestep_spacing") in (None, "linspace", "trailing")


def meaning(scheduler: dict) -> dict:
    """What a scheduler's configuration says of the network beside it."""
    name = scheduler["_class_name"]
    if name == "CMStochasticIterativeScheduler":
        low, high = scheduler["sigma_min"], scheduler["sigma_max"]
        return {"role": "consistency",
                "network": {"noise_input": {"kind": "log_sigma", "scale": 250.0},  # 1000 * 0.25 * ln(sigma)
                            "prediction": {"kind": "edm", "sigma_data": scheduler["sigma_data"], "boundary_sigma": low}},
                "noise": {"sigma_min": low, "sigma_max": high, "rho": scheduler["rho"]},
                "sampling": {"levels": {"1": [high]}, "renoise": "boundary", "clip_denoised": scheduler["clip_denoised"]}}
    if name == "EDMEulerScheduler":
        if scheduler["prediction_type"] != "epsilon":
            raise ExportError(f"EDMEulerScheduler: prediction_type {scheduler['prediction_type']} is not the one of EDM, "
                              "epsilon")
        return {"role": "diffusion",
                "network": {"noise_input": {"kind": "log_sigma", "scale": 0.25},
                            "prediction": {"kind": "edm", "sigma_data": scheduler["sigma_data"], "boundary_sigma": 0}},
                "noise": {"sigma_min": scheduler["sigma_min"], "sigma_max": scheduler["sigma_max"],
                          "rho": scheduler.get("rho", 7.0)}}
    roles = {"DDPMScheduler": "diffusion", "DDIMScheduler": "diffusion", "EulerDiscreteScheduler": "diffusion",
             "EulerAncestralDiscreteScheduler": "diffusion", "PNDMScheduler": "diffusion",
             "DPMSolverMultistepScheduler": "diffusion", "LCMScheduler": "consistency", "TCDScheduler": "consistency"}
    if name not in roles:
        raise ExportError(f"{name}: not a scheduler that this exporter knows; known are CMStochasticIterativeScheduler, "
                          f"EDMEulerScheduler, {', '.join(roles)}")
    for option in ("trained_betas", "rescale_betas_zero_snr", "thresholding"):
        if scheduler.get(option):
            raise ExportError(f"{name}: {option} = {scheduler[option]} has no place in a model file")
    if scheduler["beta_schedule"] not in BETAS or scheduler["prediction_type"] not in KINDS:
        raise ExportError(f"{name}: beta_schedule {scheduler['beta_schedule']}, prediction_type "
                          f"{scheduler['prediction_type']}; known are {', '.join(BETAS)} and {', '.join(KINDS)}")
    schedule = {"kind": BETAS[scheduler["beta_schedule"]], "count": scheduler["num_train_timesteps"]}
    if schedule["kind"] != "cosine":
        schedule |= {"beta_start": scheduler["beta_start"], "beta_end": scheduler["beta_end"]}
    sigmas = timestep_sigmas(schedule).tolist()
    found = {"role": roles[name],
             "network": {"noise_input": {"kind": "timestep", "schedule": schedule, "lookup": "nearest"},
                         "prediction": {"kind": KINDS[scheduler["prediction_type"]]}},
             "noise": {"sigma_min": sigmas[0], "sigma_max": sigmas[-1], "rho": 7.0},
             "sampling": {"clip_denoised": bool(scheduler.get("clip_sample", False))}}
    if name == "LCMScheduler":
        found["network"]["prediction"] |= {"timestep_scaling": scheduler.get("timestep_scaling", 10.0), "sigma_data": 0.5}
    if roles[name] == "consistency":
        # Their levels: every k-th of the `original` timesteps that the model was distilled at (Luo et al. 2023, Sec. 4.3).
        original = scheduler.get("original_inference_steps", 50)
        spaced = [schedule["count"] // original * (i + 1) - 1 for i in reversed(range(original))]
        found["sampling"]["levels"] = {
            str(n): [sigmas[spaced[original * i // n]] for i in range(n)] for n in (1, 2, 4, 8)}
    return found
