"""Run the command line. Errors become one sentence and an exit code: 0 done, 1 failed, 2 the user's mistake, 130 interrupted."""

import os
import sys

from assay.cli.welcome import WELCOME, version
from assay.errors import OUT_OF_MEMORY, AssayError, Interrupted, explain_os_error, is_out_of_memory

COMPLETION = ("--install-completion", "--show-completion")
QUICK_ANSWERS = {(): WELCOME, ("--version",): version()}  # printed without importing anything else


def main() -> None:
    """Run the command line and turn errors into messages."""
    arguments = tuple(sys.argv[1:])
    if os.environ.get("_ASSAY_COMPLETE"):  # a shell asks what may come next, and typer answers
        os.environ["COLUMNS"] = "9999"  # else it breaks long descriptions into lines, which fish takes for further words
    elif arguments in QUICK_ANSWERS:
        print(QUICK_ANSWERS[arguments])  # noqa: T201
        return
    try:
        code = _run()
    except KeyboardInterrupt:
        code = Interrupted.exit_code
    if code == Interrupted.exit_code:
        _stop("interrupted", code)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # threads of torch.distributed now and then abort a process that is being taken down, after all its work is done
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _run() -> int:
    """Run the command, print what went wrong, and return the exit code."""
    import typer  # noqa: PLC0415 (only imported when a command runs)

    usage_error: type[Exception] = typer.BadParameter.__bases__[0]  # click's UsageError, of which some versions of typer carry a copy
    try:
        if sys.argv[1:2] and sys.argv[1] in COMPLETION:
            from assay.cli.completion import set_up_completion  # noqa: PLC0415

            return set_up_completion(*sys.argv[1:3])
        from assay.cli.main import app  # noqa: PLC0415 (only imported when a command runs)

        return app(prog_name="assay", standalone_mode=False) or 0
    except typer.Abort:
        return Interrupted.exit_code
    except Interrupted as stopped:
        _stop(str(stopped), stopped.exit_code)
    except AssayError as error:
        _stop(f"error: {error}", error.exit_code)
    except BrokenPipeError:  # the reader of the output has ended, as with `| head`; what was saved is kept
        sys.stderr.close()
        return 1
    except OSError as error:
        _stop(f"error: {explain_os_error(error)}", 2)
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            _stop(f"error: {OUT_OF_MEMORY}", 1)
        raise
    except usage_error as error:
        _stop(f"error: {_usage(error)}", 2)
    return 1


def _usage(error: BaseException) -> str:
    """Describe a wrong command, option or argument in one sentence."""
    message = " ".join(error.format_message().split()).rstrip(".").replace(": Value error, ", ": ")  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "assay"
    return f"{message[:1].lower()}{message[1:]} (see `{command} --help`)"


def _stop(message: str, code: int) -> None:
    print(f"assay: {message}", file=sys.stderr)  # noqa: T201
    sys.exit(code)


if __name__ == "__main__":
    main()
