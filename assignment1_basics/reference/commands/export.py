r"""Write a trained model as a Llama in the format of Hugging Face, which other software runs.

  course export --checkpoint runs/tiny --output exported
  course generate --checkpoint exported --prompt "Once upon a time"
  python -c 'import transformers as t; print(t.pipeline("text-generation", "exported")("Once"))'

The folder holds config.json, model.safetensors (float32), and the tokenizer: vLLM, llama.cpp's
converter and everything else that reads a Llama takes it from there. Models with another norm,
position or feed-forward network are no Llamas and cannot be exported.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from assignment1_basics.reference.commands.generate import load
from assignment1_basics.reference.hugging_face import export_folder
from course.errors import UserError


@dataclass(frozen=True)
class Options:
    """Which model, and where to."""

    checkpoint: Path
    """a run's folder or a checkpoint file"""
    output: Path
    """the folder to write; it must be new or empty"""
    tokenizer: Path | None = None
    """None: the tokenizer.json beside the model"""
    overwrite: bool = False
    """write into a folder that holds files already"""


def run(options: Options) -> None:
    """Write the folder and say how to load it."""
    if options.output.exists() and not options.output.is_dir():
        raise UserError(f"output {str(options.output)!r} is a file; give a folder")
    if options.output.is_dir() and any(options.output.iterdir()) and not options.overwrite:
        raise UserError(
            f"output {str(options.output)!r} is not empty; give a new folder, or --overwrite"
        )
    model, tokenizer = load(options.checkpoint, options.tokenizer, torch.device("cpu"))
    export_folder(model, options.output, tokenizer)
    count = sum({id(p): p.numel() for p in model.parameters()}.values())
    print(f"{options.output}: a Llama of {count:,} parameters, with its tokenizer")
    print(f"  transformers.AutoModelForCausalLM.from_pretrained({str(options.output)!r})")
