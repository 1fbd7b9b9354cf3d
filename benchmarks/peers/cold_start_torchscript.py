"""The least Python that draws one picture with a model file: cold_start_torchscript.py MODEL DEVICE PNG"""

import math
import sys

import torch
from PIL import Image

SIGMA, DATA, BOUNDARY = 80.0, 0.5, 0.002

model_file, device, picture = sys.argv[1:]
model = torch.jit.load(model_file, map_location=device).eval()
with torch.inference_mode():
    x = SIGMA * torch.randn(1, 1, 28, 28, device=device)
    network = model(x / math.hypot(SIGMA, DATA), torch.tensor([250 * math.log(SIGMA)], device=device))
    skip = DATA**2 / ((SIGMA - BOUNDARY) ** 2 + DATA**2)
    sample = skip * x + (SIGMA - BOUNDARY) * DATA / math.hypot(SIGMA, DATA) * network
pixels = (sample[0, 0].clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
Image.fromarray(pixels.cpu().numpy()).save(picture)
