"""The judge: whether a server or a client, in any language, follows the spec. Its own wire code, its own model.

It shares no code of the protocol with `pychat` but the spec: a mistake that judge and server shared would pass for a
rule. It knows no verb and no state by name; what a verb means is what the rows of the spec say that it does.

The rooms, each of which imports only those above it:

    oracle     what a correct server would send, to whom, and how each state is reached. No socket, no clock
    cases      the questions: plays (YAML), cells (state × message × variant), and `Case`
    engine     asks one: worker (one server, one verdict for each case) sees whether it can be asked (needs), makes a
               play's steps a script of actions (script), and plays it (player) on a stage: connections, each with an
               inbox. failures turns an exception into a verdict; preflight finds what of the suite's own means works
    scenes     the few cases that no script can tell: functions of a worker and a stage
    client     the same for clients, which are programs that the suite talks to as their user and as their server
    suite      the list of all cases
    run        the cases by several workers; walk draws random plays, runs and shrinks them; explain tells of a case;
                export writes all of them for runners in other languages
    results    the record of a run, the list of known failures, the terminal, and the reports, each from the record
    cli        the command line; session is one run of it
    grade      a course: many submissions, each judged by a session in a sandbox

From a play to its verdict: `cases.reader` reads it, `cases.case` makes a case of it for each way to cut its octets,
`run` gives the case to a worker. There `engine.script` compiles the play, with the spec's model, into actions: what is
sent, and what is due by then. `engine.player` carries them out, and raises the first thing that is not as it is due;
`engine.failures` makes the verdict of it. A case that raises nothing has passed.

Words: a *cell* is a case of the matrix (a state, a message, a variant), a *play* one that is written down, a *scene*
one that is a function. A *stage* holds the connections of one case. The *barrier* is a request whose answer proves that
nothing else came before it; a *configuration* is a state with what the server knows of its link, as PAIRED+called.

In-process:

    from conformance.engine.target import Address, Command                # what is judged
    from conformance.run import Options, one_worker, run_suite            # run_suite(...) -> list[Result]
    from conformance.suite import client_cases, select, server_cases      # list[Case]; Case.id is STATE/MESSAGE/variant

    results = run_suite(Command("python srv.py --port {port}"), server_cases(spec), Options(jobs=2, fail_fast=True))
    failed = any(result.verdict.bad for result in results)                # result.id, .rule, .verdict, .wanted, .got
"""

__version__ = "1.0.0"
