"""The command line. Errors become one sentence and an exit code: 0 done, 1 failed, 2 the user's mistake, 130 interrupted."""

import sys

from assay.errors import AssayError, Interrupted

OUT_OF_MEMORY = (
    "out of memory: lower plan.batch or plan.window, raise train.accumulation (the same update from smaller micro-batches), or take a "
    "smaller model.width; what was saved is kept"
)


def main() -> None:
    """Run the command line and turn errors into messages."""
    from assay.cli.main import app  # noqa: PLC0415 (torch is only imported when a command runs)

    try:
        app()
    except Interrupted as stopped:
        _stop(str(stopped), stopped.exit_code)
    except AssayError as error:
        _stop(f"error: {error}", error.exit_code)
    except KeyboardInterrupt:
        _stop("interrupted", 130)
    except BrokenPipeError:
        sys.exit(0)
    except (MemoryError, RuntimeError) as error:
        lowered = str(error).lower()
        if isinstance(error, MemoryError) or "out of memory" in lowered or "can't allocate memory" in lowered:
            _stop(f"error: {OUT_OF_MEMORY}", 1)
        raise


def _stop(message: str, code: int) -> None:
    print(f"assay: {message}", file=sys.stderr)  # noqa: T201
    sys.exit(code)


if __name__ == "__main__":
    main()
