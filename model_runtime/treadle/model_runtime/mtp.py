"""Multi-token prediction: one more block that reads the trunk's state and the next token.

Three facts that the report leaves open, settled by the checkpoints: the projection takes
`[embedding ; hidden]`; the hidden state is the one after the trunk's last norm; and the module
has a last norm of its own, while embedding and head are the trunk's.

Source: DeepSeek-V3, arXiv:2412.19437, section 2.2, eq. 21 to 23.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from treadle.model_runtime.batch import Batch
from treadle.model_runtime.block import Block, load_block
from treadle.model_runtime.config import DeepseekConfig
from treadle.model_runtime.layers import Norm, load_norm
from treadle.model_runtime.quant import Matrix
from treadle.model_runtime.rope import Rotation
from treadle.model_runtime.weights import Source


@dataclass(frozen=True, slots=True)
class MtpModule:
    """Predicts the token after next; its cache row belongs to the token that it embeds.

    Were the row kept at the position of the hidden state, the last row of a full block would
    depend on the first token of the next block, and a request that shares the block but goes on
    otherwise would inherit a wrong row.
    """

    embedding_norm: Norm
    hidden_norm: Norm
    projection: Matrix
    block: Block
    norm: Norm

    def __call__(
        self, embedded: Tensor, hidden: Tensor, turn: Rotation, batch: Batch, cache: Tensor
    ) -> Tensor:
        """Read tokens together with the states that preceded them.

        Args:
            embedded: The tokens' embeddings, (tokens, hidden).
            hidden: For each, the state one position earlier, (tokens, hidden): the trunk's after
                its last norm, or the previous module's result.
            turn: The rotation of each token.
            batch: The same tokens; their spans begin at position 1.
            cache: This module's rows, (slots, kv_rank + rope).

        Returns:
            (tokens, hidden), ready for the trunk's head.
        """
        pair = torch.cat((self.embedding_norm(embedded), self.hidden_norm(hidden)), dim=-1)
        return self.norm(self.block(self.projection(pair), turn, batch, cache))


def load_mtp(source: Source, config: DeepseekConfig, depth: int) -> MtpModule:
    """The module at `model.layers.{layers + depth}`; it is a whole mixture block."""
    name = f"model.layers.{config.layers + depth}"
    hidden, eps = config.hidden_size, config.rms_norm_eps
    return MtpModule(
        embedding_norm=load_norm(source, f"{name}.enorm", hidden, eps),
        hidden_norm=load_norm(source, f"{name}.hnorm", hidden, eps),
        projection=source.matrix(f"{name}.eh_proj", hidden, 2 * hidden),
        block=load_block(source, config, config.layers + depth),
        norm=load_norm(source, f"{name}.shared_head.norm", hidden, eps),
    )
