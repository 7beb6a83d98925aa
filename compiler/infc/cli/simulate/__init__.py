"""`infc simulate`: one module for each scheduler that can be simulated."""

import click

from infc.cli.simulate.arrivals import arrivals
from infc.cli.simulate.triton import triton
from infc.cli.simulate.vllm import vllm


@click.group()
def command() -> None:
    """Simulate a server's scheduler: what if the batching, the instances or the traffic were different.

    No server, no GPU: the scheduler's real rules, event by event, on a simulated clock.
    """


command.add_command(arrivals)
command.add_command(triton)
command.add_command(vllm)
