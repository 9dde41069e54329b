"""The relay benchmark: what a delivered line costs this server, others, and a program that only forwards octets.

    python -m tools.bench --quick            a first look, under a minute
    python -m tools.bench --json FILE --plot FILE

How it is fair. Every server gets the same texts between the same users, in frames of its own protocol, on a fresh
process for each measurement; the servers take turns, and the order of the turns rotates. The load has a core to itself
and the servers have all the others, so on two cores each has one. Nothing counts that is not checked: each octet that
arrives is compared with what is due (`load.py`), and after the clock has stopped everything that was said must arrive.

How to read it. CPU per line is the process's own CPU clock, all threads and the kernel's work on their behalf included;
it is the steadiest figure on a machine that others use. Lines per second are what one load can ask for: where the
load's core is busy and the server's is not, the table says so, and the rate is the load's. Latencies are those of lines
sent as soon as the window has room, so under a full window they are waiting time. Memory is resident memory (`VmHWM`),
without the kernel's socket buffers.
"""
