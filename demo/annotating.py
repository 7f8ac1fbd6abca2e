"""The tasks of the demo's own machine: they run for minutes, so that there is always something to watch and to kill.

Run by the real experimaestro, in a process for each job.
"""

from experimaestro import Param, Task, progress
from working import work


class Download(Task):
    """Download the corpus."""

    seconds: Param[float]

    def execute(self) -> None:
        """Report some progress."""
        work(self.seconds)
        print("3213835 documents")


class Annotate(Task):
    """Annotate a part of the corpus."""

    corpus: Param[Download]
    part: Param[int]
    files: Param[int]
    seconds: Param[float]

    def execute(self) -> None:
        """Go through the files."""
        for number in range(self.files):
            progress(number / self.files, desc=f"file {number + 1} of {self.files}")
            work(self.seconds / self.files, level=1)
            print(
                f"part-{self.part}/{number + 1:03}.jsonl.gz: {1811 + 97 * number % 601} sentences"
            )
