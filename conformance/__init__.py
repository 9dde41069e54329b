"""The judge: whether a server or a client, in any language, follows the spec. Its own wire code, its own model.

It imports nothing of `pychat` but the spec: a mistake that judge and server shared would pass for a rule. It knows no
verb and no state by name; what a verb means is what the rows of the spec say that it does.

    spec ──► frames   a line of octets: which request or reply it is, or which fault it has
             model    what a correct server would send, to whom, for each octet that comes (no clock, no socket)
             ways     the shortest way into every state and to every row of the table, found in the model
             matrix   cells: state × message × variant
             probe    the requests that tell the states of a connection apart
             play     a script of who sends and who gets what (plays/*.yaml, the spec's examples, cells, walks)
             script   a play made ready to run, as actions: unique names, what must have come before the next send,
                      the final probes
    wire ──► player   runs a script against a server over real sockets, and says pass or fail with the reason;
                      clock tells when a timer must run out, flood fills queues, stage holds the connections
             scenes   the few cases that no script can tell (functions with the same result): bursts, limits
             trust    what works so far that the suite may use to look at other cases
             needs    what a case needs of an implementation: short timers, a limit, a process
             target   the implementation under test: started, watched, ended
             puppet   the other way round: the suite plays the server, and drives a client by the line contract
             programs starts and ends them, so that nothing of them is left; keeper is its process beside the judge
    suite ─► run      the cases, selected; their verdicts, by several workers
             record   JSON lines: a header, a line a case, a footer; each of reports/* is made from it alone
             walk     random scripts, shrunk to the shortest one that fails, which is saved as a play; with noise they
                      are a fuzz
             steady   the same run again and again on a busy machine
             selftest runs the suite against implementations that are broken on purpose

In-process interface (what `selftest` and the tests use):

    from conformance.suite import server_cases, client_cases, select      # list[Case]; Case.id is STATE/MESSAGE/variant
    from conformance.run import Options, run_suite                        # run_suite(...) -> list[Result]
    from conformance.target import Command, Address                       # what is judged

    results = run_suite(Command("python srv.py --port {port}"), server_cases(spec), Options(jobs=2, fail_fast=True))
    killed = any(result.verdict.bad for result in results)                # result.id, .rule, .verdict, .wanted, .got
"""

__version__ = "1.0.0"
