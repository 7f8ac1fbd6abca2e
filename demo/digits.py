"""The tasks of the demo's experiment: a make-believe training of digit classifiers that needs no CPU.

Run by the real experimaestro, in a process for each job.
"""

from experimaestro import Param, Task, progress
from working import work


class Diverged(Exception):
    """The loss is not a number."""


class Prepare(Task):
    """Download and clean the images."""

    seconds: Param[float]

    def execute(self) -> None:
        """Report some progress."""
        print("60000 training and 10000 test images")
        work(self.seconds)
        progress(1.0, desc="ready")


class Train(Task):
    """Train one classifier; with too high a learning rate it diverges."""

    data: Param[Prepare]
    learning_rate: Param[float]
    width: Param[int]
    epochs: Param[int]
    seconds: Param[float]

    def execute(self) -> None:
        """Go through the epochs."""
        loss = 2.3
        for epoch in range(self.epochs):
            progress(epoch / self.epochs, desc=f"epoch {epoch + 1}/{self.epochs} loss {loss:.2f}")
            work(self.seconds / self.epochs, level=1)
            if self.learning_rate >= 1:
                loss *= 8
                if epoch >= self.epochs // 2:
                    raise Diverged(f"loss is {loss:.0f} after epoch {epoch + 1}")
            loss *= 0.6 + 0.04 * (epoch % 3)
            print(f"epoch {epoch + 1}: loss {loss:.3f}")
        progress(1.0, desc=f"loss {loss:.2f}")


class Evaluate(Task):
    """Count the errors of one classifier."""

    model: Param[Train]
    seconds: Param[float]

    def execute(self) -> None:
        """Report some progress."""
        work(self.seconds)
        print(f"accuracy {1 - 0.1 / self.model.width:.3f}")


class Compare(Task):
    """Find the best of all."""

    evaluations: Param[list[Evaluate]]

    def execute(self) -> None:
        """Print the winner."""
        best = max(self.evaluations, key=lambda each: each.model.width)
        print(f"the best has width {best.model.width}")
