"""Run a command beside a Slurm of one node on this machine: python tests/jobs/cluster.py [--if-possible] COMMAND...

Installs Debian's Slurm if it is missing. Where that cannot be done it says why and ends; with `--if-possible` it runs the command all
the same, and tests skip what they lack. Everything it starts ends with it, and what it writes is in a temporary folder.
"""

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
PACKAGES = ("slurm-wlm", "slurm-client", "munge")
PATIENCE = 60.0  # seconds until the node has to be there


def main(command: list[str]) -> int:
    """The exit code of the command."""
    optional = command[0] == "--if-possible"
    command = command[optional:]
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # where Debian puts the daemons
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing and (problem := install(missing)):
        if not optional:
            sys.exit(problem)
        print(f"without Slurm: {problem}", file=sys.stderr)
        return subprocess.run(command, check=False).returncode
    with tempfile.TemporaryDirectory(prefix="assay-slurm-") as folder, cluster(Path(folder)) as configuration:
        return subprocess.run(command, env={**os.environ, "SLURM_CONF": str(configuration)}, check=False).returncode


def install(missing: list[str]) -> str:
    """Install Slurm by Debian's packages; what stands in the way, or nothing."""
    by_hand = f"apt-get install {' '.join(PACKAGES)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"there is no {', '.join(missing)} here; as root, install Slurm: {by_hand}"
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update", "-q"], ["install", "-qy", "--no-install-recommends", *PACKAGES]):
        if subprocess.run(["apt-get", *step], check=False, env=quiet).returncode:
            return (
                f"there is no {', '.join(missing)} here, and apt-get {step[0]} failed, as is said above; install Slurm by hand: {by_hand}"
            )
    return ""


@contextmanager
def cluster(folder: Path) -> Iterator[Path]:
    """A running Slurm; the path of its configuration."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    configuration = folder / "slurm.conf"
    configuration.write_text(filled((Path(__file__).parent / "slurm.conf").read_text(encoding="utf-8"), folder), encoding="utf-8")
    os.environ["SLURM_CONF"] = str(configuration)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    (folder / "state").chmod(0o755)
    socket_path = folder / "munge.socket"
    files = {"key-file": key, "socket": socket_path, "pid-file": folder / "munged.pid", "seed-file": folder / "munged.seed"}
    with ExitStack() as stack:
        stack.enter_context(daemon(folder, "munged", "--foreground", "--force", *(f"--{name}={path}" for name, path in files.items())))
        until(socket_path.exists, folder)
        stack.enter_context(daemon(folder, "slurmctld", "-D", "-f", str(configuration)))
        until(lambda: "UP" in said("scontrol", "ping"), folder)
        stack.enter_context(daemon(folder, "slurmd", "-D", "-f", str(configuration)))
        until(lambda: said("sinfo", "--noheader", "--format=%T") == "idle", folder)
        try:
            yield configuration
        finally:
            said("scancel", f"--user={getpass.getuser()}")
            until(lambda: not said("squeue", "--noheader"), folder)


def filled(template: str, folder: Path) -> str:
    """The configuration for this machine."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    values = {
        "HOST": socket.gethostname().split(".")[0], "USER": getpass.getuser(), "FOLDER": folder, "CONTROL_PORT": free_port(),
        "NODE_PORT": free_port(), "CPUS": max(2, os.cpu_count() or 2), "MEMORY": memory,
    }  # fmt: skip
    for name, value in values.items():
        template = template.replace(f"@{name}@", str(value))
    return template


def free_port() -> int:
    """A port that nobody uses at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def daemon(folder: Path, *command: str) -> Iterator[None]:
    """A program in the background, ended afterwards; what it says goes to its log."""
    with (folder / f"{command[0]}.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield
        finally:
            process.terminate()


def said(*command: str) -> str:
    """What a command prints; nothing where it fails."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def until(holds: Callable[[], bool], folder: Path) -> None:
    """Wait until something holds; where it takes too long, end with what the daemons said."""
    late = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > late:
            sys.exit("Slurm did not come up:\n" + "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in folder.glob("*.log")))
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
