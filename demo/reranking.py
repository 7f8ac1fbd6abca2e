"""The tasks of the demo's second cluster: a make-believe reranker that takes too much memory with large batches.

Run by the real experimaestro, in a process for each job.
"""

from experimaestro import Param, Task, progress
from working import work

FREE = 14.2
"""GiB of memory of the make-believe GPU."""


class OutOfMemoryError(RuntimeError):
    """The make-believe GPU has no memory left."""


class Index(Task):
    """Index the documents."""

    seconds: Param[float]

    def execute(self) -> None:
        """Report some progress."""
        print("8841823 passages")
        work(self.seconds)


class Rerank(Task):
    """Train one reranker; with large batches it runs out of memory in its first step."""

    index: Param[Index]
    batch: Param[int]
    seed: Param[int]
    seconds: Param[float]

    def execute(self) -> None:
        """Go through the steps."""
        work(self.seconds / 2)
        print(f"seed {self.seed}: batches of {self.batch}")
        self.step()
        work(self.seconds / 2)
        progress(1.0, desc=f"MRR {0.3 + self.seed / 100:.2f}")

    def step(self) -> None:
        """Train on one batch."""
        self.forward(self.batch / 16)

    def forward(self, wanted: float) -> None:
        """Take the memory of a batch, in GiB."""
        if wanted > FREE:
            raise OutOfMemoryError(
                f"CUDA out of memory. Tried to allocate {wanted:.2f} GiB, {FREE:.2f} GiB are free"
            )


class Fuse(Task):
    """Combine all rerankers that were trained."""

    rerankers: Param[list[Rerank]]

    def execute(self) -> None:
        """Print how many there are."""
        print(f"{len(self.rerankers)} rerankers")
