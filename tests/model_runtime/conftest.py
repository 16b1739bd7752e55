"""One thread: the models here are so small that sharing their work costs more than it saves."""

import torch

torch.set_num_threads(1)
