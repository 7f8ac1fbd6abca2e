"""Tracebacks in logs: which one is the cause, and what two failures of one cause have in common."""

from __future__ import annotations

import pytest

from xpm_remote.workspace.inspecting.answers import Frame
from xpm_remote.workspace.inspecting.tracebacks import (
    FRAMES_KEPT,
    LINE_LIMIT,
    MESSAGE_LIMIT,
    TRAILING_LINES,
    Traceback,
    cause_of,
    find_traceback,
    last_line,
    mask,
    title_of,
    traceback_text,
)

RUNNING = "INFO:7:26-11-28 16:51:33 [xpm] Running task\n"
ANNOUNCED = "ERROR:7:26-11-28 16:51:33 [xpm] Got exception while running\n"
EXITING = (
    "INFO:7:26-11-28 16:51:33 [xpm] Error handler: finished with code 1, reason=failed\n"
    "INFO:7:26-11-28 16:51:33 [xpm] Cleaning up\n"
    "INFO:7:26-11-28 16:51:33 [xpm] Exiting\n"
)
HEADER = "Traceback (most recent call last):\n"
RUNNER = (
    '  File "/venv/lib/python3.11/site-packages/experimaestro/run.py", line 58, in run\n'
    "    task.execute()\n"
)
TASK = '  File "/home/me/code/trainer.py", line 88, in step\n    self.forward()\n'
INNER = '  File "/home/me/code/learner.py", line 212, in forward\n    raise ValueError("x")\n    ^^^^^\n'
LIBRARY = '  File "/venv/lib/python3.11/site-packages/torch/nn.py", line 9, in call\n    f()\n'
DIRECT = "\nThe above exception was the direct cause of the following exception:\n\n"
DURING = "\nDuring handling of the above exception, another exception occurred:\n\n"

STEP = Frame("/home/me/code/trainer.py", 88, "step")
FORWARD = Frame("/home/me/code/learner.py", 212, "forward")


def find(text: str, start: int = 0) -> Traceback:
    """Return the traceback that is found."""
    found = find_traceback(text.encode("utf-8", "surrogateescape"), start, name="learn")
    assert found is not None
    return found


def announced(text: str) -> Traceback:
    """Return the traceback that is found between what the process logs."""
    found = find(RUNNING + ANNOUNCED + text + EXITING)
    assert found.offset >= len(RUNNING + ANNOUNCED)
    return found


@pytest.mark.parametrize(
    ("exception", "name", "message"),
    [
        ("ValueError: bad", "ValueError", "bad"),
        ("ValueError", "ValueError", ""),
        ("ValueError: ", "ValueError", ""),
        ("torch.cuda.OutOfMemoryError: CUDA", "torch.cuda.OutOfMemoryError", "CUDA"),
        ("mod.f.<locals>.Odd: x", "mod.f.<locals>.Odd", "x"),
        ("mod.f.<locals>.g.<locals>.Odd: x", "mod.f.<locals>.g.<locals>.Odd", "x"),
        ("Ошибка: плохо", "Ошибка", "плохо"),
        ("KeyError: 'a\\nb'", "KeyError", "'a\\nb'"),
        ("ValueError: one\ntwo\n\n  indented\nlast", "ValueError", "one\ntwo\n\n  indented\nlast"),
        ("ValueError: \x1b[31mred\x1b[0m", "ValueError", "red"),
        ("ValueError: caf\udce9", "ValueError", "caf�"),
        ("KeyboardInterrupt", "KeyboardInterrupt", ""),
    ],
)
def test_an_exception_is_read(exception: str, name: str, message: str) -> None:
    """The exception is the first unindented line after the last frame; what the process logs after it is not."""
    found = announced(HEADER + RUNNER + TASK + INNER + exception + "\n")
    assert (found.exception, found.message, found.frames) == (name, message, (FORWARD, STEP))


def test_offsets_are_of_the_log() -> None:
    """The offset of a traceback is that in the whole log, of which only the end is given, in bytes."""
    text = RUNNING + "é\n" + ANNOUNCED + HEADER + RUNNER + TASK + "ValueError: x\n" + EXITING
    assert find(text, 1000).offset == 1000 + len((RUNNING + "é\n" + ANNOUNCED).encode())


@pytest.mark.parametrize("between", [DIRECT, DURING])
def test_the_last_of_a_chain_counts(between: str) -> None:
    """Of chained exceptions it is the last that ended the job; its traceback is where the log opens."""
    first = HEADER + INNER + "KeyError: 'a'\n"
    chain = first + between + HEADER + RUNNER + TASK + "RuntimeError: cannot load\n"
    for text in (ANNOUNCED + chain + EXITING, chain):
        found = find(text)
        assert (found.exception, found.frames) == ("RuntimeError", (STEP,))
        assert text.encode()[found.offset :].startswith(HEADER.encode() + RUNNER[:9].encode())


def test_a_group_has_its_exceptions() -> None:
    """A group of exceptions is read with the first ones in it, also where they have tracebacks of their own."""
    body = "".join(f"  | {line}\n" for line in (RUNNER + TASK).splitlines())
    text = (
        f"  + Exception Group {HEADER}{body}"
        "  | ExceptionGroup: workers (4 sub-exceptions)\n"
        "  +-+---------------- 1 ----------------\n"
        f"    | {HEADER}"
        '    |   File "/home/me/code/learner.py", line 1, in work\n'
        "    |     f()\n"
        "    | ValueError: worker 1\n"
        "    +---------------- 2 ----------------\n"
        "    | TypeError: other\n"
        "    +---------------- 3 ----------------\n"
        "    | OSError: third\n"
        "    +---------------- 4 ----------------\n"
        "    | OSError: fourth\n"
        "    +------------------------------------\n"
    )
    for found in (announced(text), find(text)):
        assert found.exception == "ExceptionGroup"
        message = (
            "workers (4 sub-exceptions): ValueError: worker 1; TypeError: other; OSError: third"
        )
        assert (found.message, found.frames) == (message, (STEP,))


def test_a_group_may_be_cut() -> None:
    """A group of which nothing more is in the log is read as far as it goes."""
    frame = TASK.splitlines()[0].strip()
    text = f"  + Exception Group {HEADER}  |   {frame}\n  | ExceptionGroup: w (1 sub-exception)\n"
    assert announced(text).message == "w (1 sub-exception)"


def test_a_syntax_error_has_its_place() -> None:
    """The place of a syntax error is a frame, and its caret is no exception."""
    text = (
        HEADER
        + TASK
        + '  File "config.py", line 2\n    y = )\n        ^\nSyntaxError: invalid syntax\n'
    )
    found = announced(text)
    assert (found.exception, found.message) == ("SyntaxError", "invalid syntax")
    assert found.frames == (Frame("config.py", 2, ""), STEP)


def test_the_original_of_a_worker_counts() -> None:
    """Where a message quotes the traceback of a worker process, that is the cause."""
    text = (
        HEADER
        + TASK
        + "ValueError: Caught ValueError in DataLoader worker process 0.\nOriginal "
        + HEADER
        + LIBRARY
        + INNER
        + "ValueError: bad image\n"
    )
    found = announced(text)
    assert (found.message, found.frames) == ("bad image", (FORWARD,))


def test_without_frames_of_the_user_those_of_libraries_count() -> None:
    """Where all frames are a library's, its last ones tell failures apart, and experimaestro's do not."""
    script = '  File "/ws/jobs/demo.learn/ab/learn.py", line 19, in <module>\n    run()\n'
    found = announced(HEADER + script + RUNNER + LIBRARY + "OSError: x\n")
    assert [frame.function for frame in found.frames] == ["call"]


def test_many_frames_are_bounded() -> None:
    """Of a deep recursion the innermost frames are kept, and a long message is cut."""
    text = HEADER + TASK * 900 + "  [Previous line repeated 91 more times]\n" + INNER
    found = announced(text + f"RecursionError: {'x' * LINE_LIMIT}\n" + "more\n" * 30_000)
    assert (len(found.frames), found.frames[0]) == (FRAMES_KEPT, FORWARD)
    assert len(found.message) == MESSAGE_LIMIT


def test_what_is_announced_goes_before_what_is_printed() -> None:
    """A traceback that the program printed, before or after, is not the exception that the process caught."""
    fake = HEADER + INNER + "FakeError: no\n"
    real = HEADER + RUNNER + TASK + "ValueError: yes\n"
    assert find(fake + ANNOUNCED + real + EXITING + fake).message == "yes"


def test_a_progress_bar_before_it_does_not_hide_it() -> None:
    """Both lines are found behind a progress bar that does not end its line."""
    bar = " 50%|███  | 1/2 [00:01<00:01]"
    assert find(bar + ANNOUNCED + HEADER + TASK + "ValueError: x\n" + EXITING).message == "x"
    assert find(bar + HEADER + TASK + "ValueError: x\n").message == "x"


@pytest.mark.parametrize(
    "after",
    [
        "",
        EXITING,
        "srun: error: node1: task 0: Exited with exit code 1\n",
        "For debugging consider passing CUDA_LAUNCH_BLOCKING=1.\n" * TRAILING_LINES,
        "\n\n",
    ],
)
def test_a_traceback_at_the_end_counts(after: str) -> None:
    """A traceback that nothing announces counts at the end of the log, with some lines after it."""
    assert find(RUNNING + HEADER + TASK + "ValueError: x\n" + after).exception == "ValueError"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no traceback\n",
        HEADER,
        HEADER + TASK,
        HEADER + "ValueError: without a frame\n",
        HEADER + TASK + "ValueError: handled\n" + "epoch\n" * (TRAILING_LINES + 1),
        HEADER + TASK + "ValueError: handled\n 3%|█\r 4%|█",
        HEADER + TASK + "123 no exception\n",
        f"Exception ignored in: <function f>\n{HEADER}{TASK}ValueError: x\n",
        f"--- Logging error ---\n{HEADER}{TASK}ValueError: x\n",
        ANNOUNCED,
        ANNOUNCED + EXITING,
        ANNOUNCED
        + HEADER
        + TASK
        + "ValueError: of the run before\n"
        + EXITING
        + RUNNING
        + "epoch\n",
        DURING + HEADER + TASK + "ValueError: its head is above\n",
        f"    | {HEADER}    |   {TASK.strip()}\n",
    ],
)
def test_other_logs_have_no_cause(text: str) -> None:
    """Handled, broken and missing tracebacks are no cause."""
    assert find_traceback(text.encode(), 0) is None


def test_an_exit_with_a_text_is_the_cause() -> None:
    """The process cannot log an exit code that is a text: what it prints then begins with the exit."""
    text = (
        f"{RUNNING}--- Logging error ---\n{HEADER}{RUNNER}{TASK}SystemExit: wrong\n{DURING}{HEADER}"
        '  File "/usr/lib/python3.11/logging/__init__.py", line 1110, in emit\n    msg = 1\n'
        'TypeError: %d format\nCall stack:\n  File "/ws/learn.py", line 19, in <module>\n    run()\n'
        "Message: 'Error handler'\nArguments: ('wrong', 'failed')\n" + EXITING
    )
    found = find(text)
    assert (found.exception, found.message, found.frames) == ("SystemExit", "wrong", (STEP,))


@pytest.mark.parametrize(
    "message",
    [
        # A note with a traceback in it.
        f"step 3\n{HEADER}{INNER}Fake: no",
        # As the compiler of torch has it.
        f'graph break\n\nfrom user code:\n{INNER}\nSet TORCH_LOGS="+dynamo"\n\n\nYou can suppress this',
        'bad file\n  File "/conf/a.yaml", line 3\n    lr: x\nsee the docs',
    ],
)
def test_frames_in_a_message_are_a_part_of_it(message: str) -> None:
    """The exception is found whatever its message, or its notes, look like."""
    for name in ("ValueError", "torch._dynamo.exc.Unsupported"):
        found = announced(HEADER + TASK + f"{name}: {message}\n")
        assert (found.exception, found.message, found.frames) == (name, message, (STEP,))


def test_functions_that_call_each_other_have_one_cause() -> None:
    """A recursion ends in any of its functions: by its depth, not by its cause."""
    frames = [FORWARD, STEP, FORWARD, STEP]
    title = title_of("RecursionError", "maximum recursion depth exceeded")
    assert cause_of(title, tuple(frames)) == cause_of(title, tuple(frames[1:]))


def test_a_call_stack_is_no_message() -> None:
    """What logging prints after an exception is not its message."""
    found = announced(HEADER + TASK + "ValueError: x\nCall stack:\nnoise\n")
    assert found.message == "x"


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("", ""),
        ("one\ntwo\n\n", "two"),
        ("one\n" + EXITING, "one"),
        (" 1%|█\r 2%|██", "2%|██"),
        (
            "slurmstepd: error: Detected 1 oom-kill event(s)\nbye\n",
            "slurmstepd: error: Detected 1 oom-kill event(s)",
        ),
        (
            "slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch.\nbye\n",
            "slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch.",
        ),
        (f"Fatal Python error: Aborted\n\nCurrent\n{RUNNING}epoch\n", "epoch"),
        (f"JOB 1 CANCELLED AT 12:00\n{RUNNING}disk is full\n", "disk is full"),
        (f"JOB 1 CANCELLED AT 12:00\n{RUNNING}", ""),
        (
            "Fatal Python error: Segmentation fault\n\nCurrent thread\n" + "x\n" * 5000,
            "Fatal Python error: Segmentation fault",
        ),
        ("a" * 3 * LINE_LIMIT, "a" * LINE_LIMIT),
        ("\n" * 3 * LINE_LIMIT, ""),
    ],
)
def test_the_last_words(text: str, last: str) -> None:
    """Without a traceback, the last words are a scheduler's, python's own, or the last line of the program."""
    assert last_line(text.encode()) == last


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("bad value 12 in '/data/3/x.txt'", "bad value * in *"),
        (
            "Tried to allocate 2.00 GiB (GPU 0; 23.69 GiB total)",
            "Tried to allocate * (GPU *; * total)",
        ),
        ("object at 0x7f3a2b, id deadbeef12", "object at *, id *"),
        ("no file /scratch/ws/jobs/a.pt: gone", "no file *: gone"),
        ("no file ~/x, or ./y or ../z/w", "no file *, or * or *"),
        ("cannot open data/train/1.json", "cannot open *"),
        ("GET https://host:8080/a?b=1 failed", "GET * failed"),
        ("isn't \"quoted 'twice'\" and can't", "isn't * and can't"),
        ("shapes [2, 3, 4] and [2, 3]", "shapes [*] and [*]"),
        ("mat1 and mat2 (32x128 and 64x10)", "mat* and mat* (*x* and *x*)"),
        ("512.00 MiB of 79GB, 12B, 5 Bytes", "* of * Bytes"),
        ("device cuda:1, node12", "device cuda:*, node*"),
        ("loss -1e-05, and/or 5 GiB/s", "loss *, and/or */s"),
        ("job 3f2504e0-4f89-11d3-9a0c-0305e82c3301", "job *"),
        ("Epoch 1:  45%|████▌     | 450/1000", "Epoch *:  *%|*| */*"),
        ("Epoch 1:  9%|▉         | 90/1000", "Epoch *:  *%|*| */*"),
        ("unterminated 'quote", "unterminated 'quote"),
    ],
)
def test_what_differs_is_masked(text: str, masked: str) -> None:
    """Numbers, paths, hex and quoted text do not tell causes apart."""
    assert mask(text) == masked


def test_masking_takes_no_time() -> None:
    """A line made to be slow to match is masked like any other."""
    for part in ("'", "\\'", "/a", "a/", "0x", "1.", "%|", "*,", '"`'):
        assert len(mask(part * 100_000)) <= LINE_LIMIT


def test_causes() -> None:
    """A cause has a title of one line, and up to two functions."""
    assert title_of("torch.OutOfMemoryError", "\n  CUDA 1\nmore") == "OutOfMemoryError: CUDA *"
    assert title_of("KeyboardInterrupt", "") == "KeyboardInterrupt"
    assert title_of("", "x") == "x"
    cause = "T\nlearner.py:forward\ntrainer.py:step"
    assert cause_of("T", (FORWARD, STEP, FORWARD)) == cause
    assert cause_of("T", (Frame("config.py", 2, ""),)) == "T"


def test_text_of_a_traceback() -> None:
    """A traceback is copied up to what the runner logs after it, without colours."""
    told = f"{HEADER}{TASK}\x1b[31mValueError: x\x1b[0m\n"
    plain = f"{HEADER}{TASK}ValueError: x"
    assert traceback_text(told + EXITING) == plain
    assert traceback_text(told) == plain


def test_generated_files_that_do_not_compile() -> None:
    """Files that are generated, each with a name of its own, and do not compile, have one cause."""

    def cause(name: str) -> str:
        text = f'{HEADER}{TASK}  File "{name}", line 2\n    y = )\n        ^\nSyntaxError: bad\n'
        found = announced(text)
        return cause_of(title_of(found.exception, found.message), found.frames)

    assert (
        cause("/tmp/tmpx3ab/conf.py")
        == cause("generated_9f.py")
        == "SyntaxError: bad\ntrainer.py:step"
    )
