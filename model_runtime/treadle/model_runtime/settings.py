"""What a server of the runtime can be told, by the environment or on the command line."""

from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from treadle.model_runtime.engine import EngineOptions
from treadle.model_runtime.kernels.gpu.layers import MOST_TOKENS
from treadle.model_runtime.kernels.gpu.wishes import AttentionWish, Fp8Wish, Wishes
from treadle.model_runtime.speculate import Speculation
from treadle.model_runtime.weights import Storage

Dtype = Literal["auto", "float32", "bfloat16", "fp8", "int8"]
CPU_BLOCK_SIZE, GPU_BLOCK_SIZE = 16, 64
LOCAL_NAMES = frozenset({"localhost"})


class RuntimeSettings(BaseSettings):
    """Read from `TREADLE_RUNTIME_…`; a flag of the same name comes first."""

    model_config = SettingsConfigDict(env_prefix="TREADLE_RUNTIME_", frozen=True, extra="ignore")

    model: Path | None = Field(
        default=None, description="Checkpoint folder or GGUF file; absent, the embedded model."
    )
    name: str | None = Field(default=None, description="Served name; absent, the checkpoint's.")
    alias: tuple[str, ...] = Field(default=(), description="Further names of the same model.")
    embeddings: Path | None = Field(
        default=None,
        description="Folder of a BERT-shaped encoder; absent, all-MiniLM-L6-v2 if installed.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8710, ge=0, le=65535, description="Port to listen on; 0 takes any.")
    engine: Literal["torch", "vllm", "sglang", "remote"] = Field(
        default="torch", description="What runs the model; remote asks an endpoint at --url."
    )
    url: str = Field(default="", description="remote: an OpenAI-compatible base URL.")
    url_key: SecretStr = Field(default=SecretStr(""), description="remote: the key for that URL.")
    engine_python: Path | None = Field(
        default=None, description="vllm, sglang: the interpreter they are installed beside."
    )
    engine_args: str = Field(default="", description="vllm, sglang: further arguments as they are.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="torch: where the model runs; auto is a GPU if there is one."
    )
    gpus: str = Field(default="", description="Count and kind, such as 8xH200, over all machines.")
    layout: Literal["tensor", "data"] = Field(
        default="tensor", description="Attention split over ranks, or whole on each (throughput)."
    )
    tensor_parallel: int | None = Field(
        default=None, gt=0, description="Ranks that share each layer; torch starts so many."
    )
    nodes: int = Field(default=1, gt=0, description="Machines that share the model.")
    node_rank: int = Field(default=0, ge=0, description="Which of them this is; 0 answers.")
    head: str = Field(default="127.0.0.1", description="The first machine's address.")
    head_port: int = Field(default=29_500, gt=0, le=65535, description="Where machines meet.")
    context: int | None = Field(
        default=None, gt=0, description="vllm, sglang: longest prompt and answer together."
    )
    memory_share: float = Field(
        default=0.9, gt=0, lt=1, description="vllm, sglang: of each accelerator, for all it holds."
    )
    narrow_cache: bool = Field(default=False, description="vllm, sglang: keep the cache in FP8.")
    dialect: str = Field(
        default="auto", description="vllm, sglang: how the model writes calls and thoughts."
    )
    chat_template: Path | None = Field(
        default=None, description="vllm, sglang: a template in place of the checkpoint's."
    )
    remote_code: bool = Field(
        default=False, description="vllm, sglang: run the checkpoint's own Python."
    )
    kernels: bool = Field(default=True, description="Use the fused CPU kernels where they fit.")
    gpu_attention: AttentionWish = Field(
        default="auto",
        description="torch on a GPU: what attends in decode; auto takes the first that is "
        "installed and fits.",
    )
    gpu_fp8: Fp8Wish = Field(
        default="auto",
        description="torch on a GPU: what multiplies FP8 weights; wide rounds no activations, and "
        "auto does so below Hopper.",
    )
    gpu_graphs: int = Field(
        default=64,
        ge=0,
        le=MOST_TOKENS,
        description="torch on a GPU: tokens of the largest decode step that is captured in a CUDA "
        "graph; 0 captures none.",
    )
    dtype: Dtype = Field(default="auto", description="Weights in memory; auto is as stored.")
    threads: int | None = Field(default=None, gt=0, description="CPU threads; absent, all cores.")
    cache_tokens: int = Field(default=16_384, ge=64, description="Tokens that the cache holds.")
    block_size: int | None = Field(
        default=None,
        gt=0,
        description="Tokens in a block of the cache; absent, 64 on a GPU and 16 on a CPU.",
    )
    step_tokens: int = Field(default=256, gt=0, description="Tokens read in one step.")
    running: int = Field(default=32, gt=0, description="Requests answered at once.")
    queue: int = Field(default=256, gt=0, description="Requests that may wait; more get 429.")
    speculation: Speculation | Literal["auto"] = Field(
        default="auto", description="Source of drafts; auto is the MTP module if any, or look-up."
    )
    draft_tokens: int = Field(
        default=3, gt=0, le=16, description="Tokens that the MTP module drafts in one step."
    )
    state: Path = Field(
        default=Path(".treadle/runtime"), description="Folder of files and batches."
    )
    otlp_endpoint: str | None = Field(
        default=None,
        description="OpenTelemetry collector, OTLP over HTTP; `/v1/traces` is appended. "
        "Absent: no traces.",
    )
    timeout_s: float = Field(default=600, gt=0, description="Longest time for one request.")
    keys: SecretStr = Field(
        default=SecretStr(""), description="API keys, by commas; without any, loopback only."
    )

    @model_validator(mode="after")
    def _is_one_of_its_machines(self) -> Self:
        if self.node_rank >= self.nodes:
            raise ValueError(f"node_rank {self.node_rank} is none of {self.nodes} machines")
        return self

    @model_validator(mode="after")
    def _is_loopback_or_keyed(self) -> Self:
        if not self.key_list and not _loopback(self.host):
            raise ValueError(
                f"without keys the server listens on loopback only, not on {self.host!r}; set "
                "TREADLE_RUNTIME_KEYS"
            )
        return self

    @property
    def key_list(self) -> list[str]:
        """The keys one by one."""
        return [key.strip() for key in self.keys.get_secret_value().split(",") if key.strip()]

    @property
    def torch_dtype(self) -> torch.dtype | None:
        """The compute dtype; none is the stored one."""
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}.get(self.dtype)

    @property
    def storage(self) -> Storage:
        """The form of the matrices in memory."""
        return {"fp8": Storage.KEPT, "int8": Storage.INT8}.get(self.dtype, Storage.WIDE)

    @property
    def on_gpu(self) -> bool:
        """Whether one process of the torch engine puts its model there."""
        return self.device == "cuda" or (self.device == "auto" and torch.cuda.is_available())

    @property
    def cache_block_size(self) -> int:
        """As asked, or what the device's kernels like best."""
        return self.block_size or (GPU_BLOCK_SIZE if self.on_gpu else CPU_BLOCK_SIZE)

    @property
    def gpu_wishes(self) -> Wishes:
        """What is asked of kernels for GPUs."""
        return Wishes(self.gpu_attention, self.gpu_fp8, self.gpu_graphs, self.cache_block_size)

    def engine_options(self, *, mtp: bool) -> EngineOptions:
        """The engine's share; `mtp` says whether the model has a module to draft with."""
        block_size = self.cache_block_size
        drafts = Speculation.MTP if mtp else Speculation.LOOKUP
        return EngineOptions(
            blocks=self.cache_tokens // block_size,
            block_size=block_size,
            step_tokens=self.step_tokens,
            running=self.running,
            queue=self.queue,
            speculation=drafts if self.speculation == "auto" else self.speculation,
            mtp_tokens=self.draft_tokens,
        )


def _loopback(host: str) -> bool:
    if host in LOCAL_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
