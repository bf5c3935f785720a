"""``python -m dracore_nvidia_gpu.sim``: an administrator, or bad luck, at a simulated node."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from dracore import DracoreError
from dracore_nvidia_gpu.sim.codes import TEXTS, Refused
from dracore_nvidia_gpu.sim.node import COMPUTE_MODES
from dracore_nvidia_gpu.sim.simulation import BOOT_ID, Simulation
from dracore_nvidia_gpu.sim.state import CallFault, Process

gpu_argument = click.argument("gpu")
gpu_option = click.option("--gpu", required=True, help="Position, uuid or PCI address.")


class _Group(click.Group):
    """Errors a person can cause are one line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Refused as refused:
            raise click.ClickException(TEXTS.get(refused.code, str(refused))) from None
        except DracoreError as error:
            raise click.ClickException(str(error)) from None


@click.group(
    cls=_Group,
    short_help="Break and change a simulated node.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    help="Folder of the simulated node: stateDir of the simulation section.  [required]",
)
@click.pass_context
def main(ctx: click.Context, state_dir: Path | None) -> None:
    """Look at a simulated NVIDIA node, and change it while a driver runs on it.

    GPU is a position (0, 1, …), a uuid or a PCI address.
    """
    ctx.obj = state_dir


def _folder(ctx: click.Context) -> Path:
    """Asked for when a command runs: its ``--help`` needs no folder."""
    if ctx.obj is None:
        raise click.UsageError("Missing option '--state-dir', which comes before the command.", ctx)
    folder: Path = ctx.obj
    return folder


def _node(run: Callable[..., Any]) -> Callable[..., Any]:
    """Gives the command the prepared simulation."""

    @click.pass_context
    def wrapped(ctx: click.Context, /, **options: Any) -> Any:
        return run(Simulation.existing(_folder(ctx)), **options)

    wrapped.__name__, wrapped.__doc__ = run.__name__, run.__doc__
    return wrapped


@main.command()
@click.argument("node")
@click.option("--boot-id-file", type=click.Path(path_type=Path), default=BOOT_ID, show_default=True)
@click.pass_context
def prepare(ctx: click.Context, node: str, boot_id_file: Path) -> None:
    """Makes the node NODE (a known name or a file) in the folder, as the driver does when it starts."""
    Simulation(node, _folder(ctx), boot_id_file).prepare()


@main.command()
@_node
def show(simulation: Simulation) -> None:
    """Prints the node's state as JSON."""
    state = asdict(simulation.node.state)
    for gpu in simulation.spec.gpus:
        known = {"position": gpu.position, "minor": gpu.minor, "pci": gpu.pci.sysfs, "name": gpu.product.name}
        state["gpus"][gpu.uuid] = known | state["gpus"][gpu.uuid]
    click.echo(
        json.dumps(
            {"simulated": True, "node": simulation.spec.name, "unverified": [*simulation.spec.unverified()]}
            | state,
            indent=2,
        )
    )


@main.group()
def fault() -> None:
    """Breaks something, until `clear`."""


@fault.command("lost")
@click.argument("word", type=click.Choice(["gpu"]))
@gpu_argument
@click.option("--handle", is_flag=True, help="The GPU is still enumerated; each call on it fails.")
@_node
def lost(simulation: Simulation, word: str, gpu: str, handle: bool) -> None:
    """`fault lost gpu 3`: the GPU does not answer any more."""
    simulation.node.lose(gpu, handle=handle)


@fault.command("removed")
@click.argument("word", type=click.Choice(["gpu"]))
@gpu_argument
@_node
def removed(simulation: Simulation, word: str, gpu: str) -> None:
    """`fault removed gpu 3`: the GPU is not on the bus any more."""
    simulation.node.remove(gpu)


@fault.command("call")
@click.argument("function")
@click.option("--code", type=int, help="What the call returns, NVML's number.")
@click.option("--delay", type=click.IntRange(min=0), default=0, help="Milliseconds that the call takes.")
@click.option("--times", type=click.IntRange(min=1), help="How often; else until `clear`.")
@click.option("--gpu", help="For this GPU only.")
@_node
def call(
    simulation: Simulation, function: str, code: int | None, delay: int, times: int | None, gpu: str | None
) -> None:
    """`fault call nvmlDeviceGetName --code 999 --gpu 2`: the call fails, or with --delay is slow."""
    if code is None and not delay:
        raise click.UsageError("give --code, --delay or both")
    uuid = None if gpu is None else simulation.node.gpu(gpu).uuid
    simulation.node.fault(CallFault(function, uuid, code, times, delay))


@fault.command("driver")
@click.argument("what", type=click.Choice(["absent", "mismatch"]))
@_node
def driver(simulation: Simulation, what: str) -> None:
    """The kernel driver is not loaded, or not of the library's version."""
    if what == "absent":
        simulation.node.set_driver(loaded=False)
    else:
        simulation.node.set_driver(mismatch=True)


@main.command()
@_node
def clear(simulation: Simulation) -> None:
    """Ends all faults."""
    simulation.node.clear()


@main.command()
@click.argument("code", type=int)
@gpu_option
@click.option("--instance", type=int, help="GPU instance id, for an error of one MIG device.")
@click.option("--compute", type=int, help="Compute instance id.")
@_node
def xid(simulation: Simulation, code: int, gpu: str, instance: int | None, compute: int | None) -> None:
    """`xid 79 --gpu 1`: the driver reports an error; with 79 the GPU is lost too."""
    simulation.node.xid(gpu, code, instance, compute)


@main.command()
@click.option("--version", help="Another driver version, as after an upgrade.")
@click.option("--cuda", type=int, help="Its CUDA version as NVML has it: 13000 is 13.0.")
@_node
def reload(simulation: Simulation, version: str | None, cuda: int | None) -> None:
    """Unloads and loads the kernel driver: sessions, MIG instances and modes end."""
    simulation.node.reload_driver(version, cuda)


@main.command()
@_node
def reboot(simulation: Simulation) -> None:
    """Restarts the machine: only what survives without power stays."""
    simulation.node.reboot()


@main.command()
@gpu_option
@_node
def reset(simulation: Simulation, gpu: str) -> None:
    """Resets an idle GPU."""
    simulation.node.reset(gpu)


@main.command("mig-mode")
@click.argument("mode", type=click.Choice(["on", "off"]))
@gpu_option
@_node
def mig_mode(simulation: Simulation, mode: str, gpu: str) -> None:
    """Turns MIG on or off, as an administrator with nvidia-smi."""
    status = simulation.node.set_mig_mode(simulation.node.gpu(gpu).uuid, int(mode == "on"))
    if status:
        click.echo(f"pending: {TEXTS[status]}")


@main.command("mig-create")
@click.argument("profile")
@gpu_option
@_node
def mig_create(simulation: Simulation, profile: str, gpu: str) -> None:
    """`mig-create 1g.5gb --gpu 0`: a GPU instance with one compute instance."""
    instance = simulation.node.create_partition(gpu, profile)
    click.echo(f"GPU instance {instance.id}, {instance.compute[0].uuid}")


@main.command("compute-mode")
@click.argument("mode", type=click.Choice(list(COMPUTE_MODES)))
@gpu_option
@_node
def compute_mode(simulation: Simulation, mode: str, gpu: str) -> None:
    """Sets the compute mode, as an administrator with nvidia-smi."""
    uuid = simulation.node.gpu(gpu).uuid
    with simulation.node.change() as state:
        state.gpus[uuid].compute_mode = COMPUTE_MODES[mode]


@main.group()
def process() -> None:
    """Programs that use GPUs."""


@process.command("start")
@click.argument("pid", type=int)
@gpu_option
@click.option("--memory", type=click.IntRange(min=0), default=256, help="MiB of GPU memory.")
@click.option("--kind", type=click.Choice(["compute", "mps", "graphics"]), default="compute")
@click.option("--instance", type=int, help="GPU instance id.")
@click.option("--compute", type=int, help="Compute instance id.")
@_node
def start(
    simulation: Simulation,
    pid: int,
    gpu: str,
    memory: int,
    kind: str,
    instance: int | None,
    compute: int | None,
) -> None:
    """A program begins to use the GPU."""
    simulation.node.start_process(gpu, Process(pid, memory << 20, kind, instance, compute))


@process.command("end")
@click.argument("pid", type=int)
@gpu_option
@_node
def end(simulation: Simulation, pid: int, gpu: str) -> None:
    """The program lets go of the GPU."""
    simulation.node.end_process(gpu, pid)


if __name__ == "__main__":
    main(prog_name="python -m dracore_nvidia_gpu.sim")
