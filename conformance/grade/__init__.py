"""A course: each submission of a folder is judged in a sandbox of its own, and a sheet and pages say how it went.

    folder    what a submission is: a subfolder or an archive; its digest, and how it is unpacked without harm
    sandbox   the namespaces and the limits, as the words of `unshare` and `bwrap`, and whether this system has them
    init      process 1 of a sandbox: sets the limits, starts the program, passes signals on. Imports nothing of this
    inside    one submission, judged within its namespaces: unpack, build, `session.judge`, and a watch on memory
    course    all of them, several at a time, each again only if something has changed
    marks     what came of one, as data: verdict, points, what failed by rule and by group of rules
    sheet     the CSV
    pages     the HTML: the overview, and a page for each
    command   the options of `pychat-conformance grade`

    grade ── keeper ── unshare ══ inside (the judge) ── keeper ── bwrap ══ init ── ./run 8255 ── …

`══` is the border of new namespaces. The outer ones (user, pid, network, ipc, mount) belong to one submission: its
loopback interface is the only one there, so the judge sits inside them too. The inner ones (user, pid, ipc, uts,
mount) belong to one start of its program: it sees neither the judge's processes nor the system's folders, and when its
process 1 ends, the kernel ends all others.
"""
