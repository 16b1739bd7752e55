"""What a server of the runtime can be told, by the environment or on the command line."""

from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from treadle.model_runtime.engine import EngineOptions
from treadle.model_runtime.speculate import Speculation
from treadle.model_runtime.weights import Storage

Dtype = Literal["auto", "float32", "bfloat16", "fp8", "int8"]
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
    engine: Literal["torch"] = Field(default="torch", description="What runs the model.")
    kernels: bool = Field(default=True, description="Use the fused CPU kernels where they fit.")
    dtype: Dtype = Field(default="auto", description="Weights in memory; auto is as stored.")
    threads: int | None = Field(default=None, gt=0, description="CPU threads; absent, all cores.")
    cache_tokens: int = Field(default=16_384, ge=64, description="Tokens that the cache holds.")
    block_size: int = Field(default=16, gt=0, description="Tokens in a block of the cache.")
    step_tokens: int = Field(default=256, gt=0, description="Tokens read in one step.")
    running: int = Field(default=32, gt=0, description="Requests answered at once.")
    queue: int = Field(default=256, gt=0, description="Requests that may wait; more get 429.")
    speculation: Speculation | Literal["auto"] = Field(
        default="auto", description="Source of drafts; auto is the MTP module if any, or look-up."
    )
    timeout_s: float = Field(default=600, gt=0, description="Longest time for one request.")
    keys: SecretStr = Field(
        default=SecretStr(""), description="API keys, by commas; without any, loopback only."
    )

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

    def engine_options(self, *, mtp: bool) -> EngineOptions:
        """The engine's share; `mtp` says whether the model has a module to draft with."""
        drafts = Speculation.MTP if mtp else Speculation.LOOKUP
        return EngineOptions(
            blocks=self.cache_tokens // self.block_size,
            block_size=self.block_size,
            step_tokens=self.step_tokens,
            running=self.running,
            queue=self.queue,
            speculation=drafts if self.speculation == "auto" else self.speculation,
        )


def _loopback(host: str) -> bool:
    if host in LOCAL_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
