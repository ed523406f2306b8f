"""Run the command line. Errors become one sentence and an exit code: 0 done, 1 failed, 2 the user's mistake, 130 interrupted."""

import errno
import os
import sys

from assay.cli.welcome import WELCOME, version
from assay.core.signals import interrupt_when_stopped
from assay.errors import OUT_OF_MEMORY, AssayError, Interrupted, explain_os_error, is_out_of_memory
from assay.terminal.streams import STANDARD_OUTPUT, describe_loss, lost_output, secure_output

COMPLETION = ("--install-completion", "--show-completion")
QUICK_ANSWERS = {(): WELCOME, ("--version",): version()}  # printed without importing anything else
KEEPING = ("train", "resume", "study", "search")  # commands whose results are kept in folders, printed or not


def main() -> None:
    """Run the command line and turn errors into messages."""
    secure_output()
    code = _flush(_answer(tuple(sys.argv[1:])))
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # threads of torch.distributed now and then abort a process that is being taken down, after all its work is done
        os._exit(code)
    if code:
        sys.exit(code)


def _answer(arguments: tuple[str, ...]) -> int:
    """Answer a command, and return the exit code."""
    if os.environ.get("_ASSAY_COMPLETE"):  # a shell asks what may come next, and typer answers
        os.environ["COLUMNS"] = "9999"  # else it breaks long descriptions into lines, which fish takes for further words
    elif arguments in QUICK_ANSWERS:
        print(QUICK_ANSWERS[arguments])  # noqa: T201
        return 0
    try:
        with interrupt_when_stopped():
            return _run()
    except KeyboardInterrupt:  # before or after the command
        return _fail("interrupted", Interrupted.exit_code)


def _flush(code: int) -> int:
    """Write what is left to print. A sentence says where that was not possible, unless the reader has merely ended, as `| head`."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    lost = lost_output().get(STANDARD_OUTPUT)
    if lost is None or lost.errno == errno.EPIPE:
        return code
    if code == 0 and sys.argv[1:2] not in [[command] for command in KEEPING]:
        code = AssayError.exit_code
    _fail(describe_loss(STANDARD_OUTPUT, lost), code)
    sys.stderr.flush()
    return code


def _run() -> int:
    """Run the command, print what went wrong, and return the exit code. Raises what is a bug."""
    import typer  # noqa: PLC0415 (only imported when a command runs)

    usage_error: type[Exception] = typer.BadParameter.__bases__[0]  # click's UsageError, of which some versions of typer carry a copy
    try:
        if sys.argv[1:2] and sys.argv[1] in COMPLETION:
            from assay.cli.completion import set_up_completion  # noqa: PLC0415

            return set_up_completion(*sys.argv[1:3])
        from assay.cli.main import app  # noqa: PLC0415 (only imported when a command runs)

        code = app(prog_name="assay", standalone_mode=False) or 0
    except (typer.Abort, KeyboardInterrupt):
        code = Interrupted.exit_code
    except usage_error as error:
        return _fail(f"error: {_usage(error)}", 2)
    except Exception as error:
        explained = _explain(error)
        if explained is None:
            raise
        return _fail(*explained)
    return _fail("interrupted", code) if code == Interrupted.exit_code else code


def _explain(error: Exception) -> tuple[str, int] | None:
    """Explain an error in a sentence, with the exit code; None where it is a bug."""
    if isinstance(error, Interrupted):
        return str(error), error.exit_code
    if isinstance(error, AssayError):
        return f"error: {error}", error.exit_code
    if isinstance(error, OSError):
        return f"error: {explain_os_error(error)}", 2
    if isinstance(error, UnicodeEncodeError) and error.encoding == sys.getfilesystemencoding() != "utf-8":
        return f"error: {error.object!a}: is a name that files here cannot have ({error.encoding}); set LC_ALL=C.UTF-8", 2
    return (f"error: {OUT_OF_MEMORY}", 1) if is_out_of_memory(error) else None


def _usage(error: BaseException) -> str:
    """Describe a wrong command, option or argument in one sentence."""
    context, option = getattr(error, "ctx", None), getattr(error, "option_name", None)
    if option is not None and context is not None:
        from assay.cli.foreign_options import explain_foreign_option  # noqa: PLC0415 (only imported when an option is refused)

        foreign = explain_foreign_option(option, context)
        if foreign is not None:
            return foreign
    message = " ".join(error.format_message().split()).rstrip(".").replace(": Value error, ", ": ")  # type: ignore[attr-defined]
    command = context.command_path if context is not None else "assay"
    return f"{message[:1].lower()}{message[1:]} (see `{command} --help`)"


def _fail(message: str, code: int) -> int:
    print(f"assay: {message}", file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    main()
