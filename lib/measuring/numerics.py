"""What the last digits of a measurement depend on besides model, texts and code: libraries and kernels."""

import torch

from lib.checkpoints import ModelArguments, versions


def numerics(args: ModelArguments, device: str) -> str:
    """The libraries that compute this arm, with their versions, and the kernels of the device: `torch 2.13.0, AVX2`.

    Records are not shared between machines or installations that differ in it: compared with each other, such records
    would show a difference that is none, and after an upgrade old numbers would be compared with old numbers.
    """
    extra = {"bitsandbytes": args.quantization != "none", "gguf": args.is_gguf, "peft": bool(args.peft)}
    found = versions()
    names = ["torch", "transformers", *(name for name, used in extra.items() if used)]
    on_gpu = device.startswith("cuda")
    kernels = torch.cuda.get_device_name(device) if on_gpu else torch.backends.cpu.get_cpu_capability()
    return ", ".join([*(f"{name} {found[name]}" for name in names), kernels])
