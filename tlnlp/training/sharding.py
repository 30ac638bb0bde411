"""Fully sharded data parallelism (Zhao et al. 2023; FSDP2 of torch): each process holds a share of every weight,
gradient and moment, and gathers a layer's weights while it computes with them.

It is asked for as accelerate asks for it (`accelerate launch --config_file fsdp.yaml`, which sets ACCELERATE_USE_FSDP
and FSDP_VERSION), and done here with `torch.distributed.fsdp.fully_shard` instead of `accelerate.prepare`, for two
reasons. accelerate shards on accelerators only and on CPUs replicates the network without a word, so that nothing of it
could be tested here. And it replaces the parameters in an optimizer by those of a network that it has prepared, while
here the optimizer is built on the sharded network: its groups and their names are those of every other run.
"""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from tlnlp.errors import InputError
from tlnlp.lazy import lazy_module
from tlnlp.transfer.layers import find_layers

# Most of a second to import, and only needed by runs that shard.
fsdp: Any = lazy_module("torch.distributed.fsdp")
distributed_tensor: Any = lazy_module("torch.distributed.tensor")
device_mesh: Any = lazy_module("torch.distributed.device_mesh")
hf_storage: Any = lazy_module("torch.distributed.checkpoint.hf_storage")

REQUEST = "ACCELERATE_USE_FSDP"
# What an accelerate configuration may ask for beyond it, which is not done here, and what to use instead.
NOT_DONE = {
    "FSDP_OFFLOAD_PARAMS": ("fsdp_offload_params", "more processes, --gradient-checkpointing or --load-in bf16"),
    "FSDP_ACTIVATION_CHECKPOINTING": ("fsdp_activation_checkpointing", "--gradient-checkpointing, which does the same"),
}
OTHER_WAYS = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "accelerate's parallelism_config (tensor or context parallelism)",
}
HOOKS = ("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_forward_hooks", "_forward_hooks_with_kwargs")


def is_requested(environment: Mapping[str, str] = os.environ) -> bool:
    """Returns whether several processes were started to shard the network. A single one has nothing to shard."""
    return _is_set(environment, REQUEST) and int(environment.get("WORLD_SIZE", "1")) > 1


def check_launcher(environment: Mapping[str, str], precision: str) -> None:
    """Raises an error if the launcher asks for a way to distribute the training that is not done here.

    Raises:
        InputError: DeepSpeed, Megatron-LM, the first version of FSDP, or a part of FSDP that is left to flags.
    """
    for variable, name in OTHER_WAYS.items():
        if _is_set(environment, variable):
            raise InputError(
                expected="data parallelism or FSDP, the ways in which several processes share a training here",
                found=f"{name} ({variable}={environment[variable]})",
                change="an accelerate configuration with distributed_type: FSDP and fsdp_version: 2, which shards "
                "weights, gradients and moments as ZeRO 3 does (docs/large-models.md)",
            )
    if not _is_set(environment, REQUEST):
        return
    if environment.get("FSDP_VERSION", "1") != "2":
        raise InputError(
            expected="fsdp_version: 2 in the accelerate configuration (FSDP_VERSION=2)",
            found=f"version {environment.get('FSDP_VERSION', '1, which accelerate takes if none is given')}",
            change="fsdp_version: 2; the first version can neither freeze single weights nor change what is frozen",
        )
    for variable, (name, instead) in NOT_DONE.items():
        if _is_set(environment, variable):
            raise InputError(
                expected=f"FSDP without {name}", found=f"{variable}={environment[variable]}", change=instead
            )
    if precision == "fp16":
        raise InputError(
            expected="--precision bf16 or fp32 with FSDP",
            found="--precision fp16, whose gradients would be scaled on each process by itself",
            change="--precision bf16",
        )
    if "save_distributed" not in inspect.signature(hf_storage.HuggingFaceStorageWriter.__init__).parameters:
        raise InputError(
            expected="torch 2.9 or later for FSDP, whose checkpoints of several processes are safetensors",
            found=f"torch {torch.__version__}",
            change="pip install --upgrade torch",
        )


def _is_set(environment: Mapping[str, str], variable: str) -> bool:
    return environment.get(variable, "false").lower() in ("true", "1", "yes")


@contextlib.contextmanager
def hidden_from_accelerate() -> Iterator[None]:
    """While it is open, accelerate does not see that it is to shard: it distributes the processes, and no more.

    For good, transformers must not load the weights on the first process only, as it does for accelerate's FSDP.
    """
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    asked = os.environ.pop(REQUEST, None)
    try:
        yield
    finally:
        if asked is not None:
            os.environ[REQUEST] = asked


def is_sharded(model: nn.Module) -> bool:
    """Returns whether the weights are divided among the processes."""
    # Not asked of the class, which would import it in every run.
    return any(kind.__name__ == "FSDPModule" for kind in type(model).__mro__)


@dataclass
class ShardedNetwork:
    """A network whose weights are divided among the processes, in place: its names are the same, and its parameters are
    DTensors.

    Args:
        accelerator: of the processes.
        model: the network.
        plain: {module that gathers its weights: its class before, and the keys of the hooks that gather them}.
    """

    accelerator: Accelerator
    model: nn.Module
    plain: dict[nn.Module, tuple[type, dict[str, set[int]]]] = field(default_factory=dict)

    @classmethod
    def of(cls, model: nn.Module, accelerator: Accelerator) -> ShardedNetwork:
        """Divides the weights of a network that all processes have loaded, layer by layer, and puts them on the device.
        What trains may change from phase to phase."""
        sharded = cls(accelerator, model)
        mesh = device_mesh.init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
        reshard = os.environ.get("FSDP_RESHARD_AFTER_FORWARD", "true").lower() not in ("false", "shard_grad_op")
        parts = dict.fromkeys(part for layer in find_layers(model) for part in layer.parts)
        for module in parts:
            sharded._shard(module, mesh=mesh, reshard_after_forward=reshard)
        # The first one gathers what is in no layer: it is gathered until the backward pass, since heads may read it.
        sharded._shard(model, mesh=mesh, reshard_after_forward=False)
        return sharded

    def _shard(self, module: nn.Module, **how: Any) -> None:
        kind, before = type(module), {name: set(getattr(module, name)) for name in HOOKS}
        fsdp.fully_shard(module, **how)
        self.plain[module] = kind, {name: set(getattr(module, name)) - before[name] for name in HOOKS}

    def gather(self) -> None:
        """Makes it a plain network again: whole on the CPU of the main process, and without values on the others. All
        processes must call it."""
        reshard(self.model)
        for module, (kind, hooks) in self.plain.items():
            module.__class__ = kind
            for name, keys in hooks.items():
                for key in keys:
                    getattr(module, name).pop(key, None)
        whole: dict[torch.Tensor, nn.Parameter] = {}
        for module in self.model.modules():
            for name, parameter in module._parameters.items():
                if not isinstance(parameter, distributed_tensor.DTensor):
                    continue
                if parameter not in whole:
                    full = parameter.detach().full_tensor()
                    full = full.cpu() if self.accelerator.is_main_process else torch.empty_like(full, device="meta")
                    whole[parameter] = nn.Parameter(full, requires_grad=parameter.requires_grad)
                module._parameters[name] = whole[parameter]
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = buffer.cpu()
        self.plain = {}


def reshard(model: nn.Module) -> None:
    """Drops the weights of others that a forward pass without a backward pass has gathered."""
    if is_sharded(model):
        for module in model.modules():
            if is_sharded(module):
                module.reshard()  # type: ignore[operator]


def copy_into(parameter: Any, whole: torch.Tensor) -> None:
    """Copies a whole tensor, which all processes have, into a parameter that may be divided among them."""
    if hasattr(parameter, "placements"):
        whole = distributed_tensor.distribute_tensor(
            whole.to(parameter.device), parameter.device_mesh, parameter.placements, src_data_rank=None
        )
    parameter.copy_(whole)
