"""A Wireshark dissector, written from the spec: `python -m tools.dissector --out pychat.lua`.

`rules.py` turns the spec into Lua data, `engine/*.lua` is the fixed program that follows them; `script.py` makes one
file of both. Neither knows a verb, a state or a code by name. What follows names the fields for the shipped spec; in
another one, its `protocol` takes the place of `pychat`. A frame of the protocol is one tree (one `pychat` layer in
`-T json` and `-T pdml`), so a segment with three frames has three; each has, always:

    pychat.line            string   the line without its ending
    pychat.length          number   its octets, with the ending
    pychat.from            string   client | server
    pychat.kind            string   request | answer | item | push | refusal | goodbye, as the spec says; else
                                    unknown (a server's frame that the spec does not have), fragment (the rest of a
                                    frame whose beginning is not in the capture, or the beginning of one that never
                                    ends), discarded (what a client sends after its last frame)
    pychat.verb            string   the first word as it is on the wire: CHAT, OK, ERR, CALL ("" for an empty line)
    pychat.state           string   the connection's state before the frame, `unknown` where the capture cannot tell
    pychat.state_after     string   … and after it

and, where they are known:

    pychat.<field>         string or number: each field of the spec's messages: name, token, version, text,
                           availability, count, reason, profiles, code, words. A field that has the name of one of
                           these has its verb in front: the verb in ERR is pychat.err.verb
    pychat.state_change    string   both states, where they differ: a filter for what changes a state (NAMED to PAIRED)
    pychat.request         string   the verb of the request that it is or answers: CHAT for `CHAT bob`, `OK CHAT bob`,
                                    `ERR CHAT user-busy …`; WHO for its USER items
    pychat.user            string   the connection's own name, as its owner wrote it (in an answer: after it)
    pychat.partner         string   the partner before the frame (in an answer or a push: after it, and before it where
                                    it ends the chat)
    pychat.partner_stream  number   tcp.stream of the partner's connection
    pychat.chat            number   the number of the chat, the same at both ends: a filter for a whole chat
    pychat.answered        boolean  in a chat: whether this end has answered, as the caller has by calling (in an answer
                                    or a push: after it, and before it where it ends the chat)
    pychat.here            boolean  … and whether the partner has, as this end has been told
    pychat.<relation>      string   the tuples of a relation that belong to the connection after the frame, without the
                                    connection's own name: pychat.missed is `carol, dave` when both have called in vain
    pychat.response_in     frame    on requests, and on pushes that want a reply. It points forward: see below
    pychat.request_in      frame    on answers, their items and refusals, and on a client's reply to a push
    pychat.time            seconds  from the request to this answer
    pychat.relayed_in      frame    on a line that was relayed: the frame to the partner. It points forward
    pychat.relayed_from    frame    on a line from the partner: the frame that sent it
    pychat.relay_time      seconds  from there to here
    pychat.rule            string   the rule that the frame obeys, or breaks: R-CHAT-1
    pychat.violation       string   what is wrong with the frame: a code of the spec (bad-syntax, wrong-state, …) or one
                                    of `VIOLATIONS` in rules.py; each is an expert information, too
    pychat.violation.by    string   client | server

`pychat.violation` alone is a display filter for whatever breaks the spec; a refusal or a goodbye has an expert
information of its own (pychat.expert.refusal, pychat.expert.goodbye) and no violation, if it is right.

A connection at one of the ports of the preference `pychat.ports`, or with a server of `pychat.servers` (192.0.2.1:80,
[2001:db8::1]:80), is the protocol's. Any other one is recognised by a frame with two words that the spec fixes, if its
server has said nothing before that the spec does not have; at the ports of other dissectors, Wireshark asks for that
only with its preference `tcp.try_heuristic_first`. What came before that frame is shown when it is read again.

What points forward is known when the whole capture has been read: always in Wireshark, and in tshark with two passes
and a display filter (`tshark -2 -Y pychat`; without the filter, tshark's first pass has no fields of TCP to look at).
So is the violation unknown-line: only later packets prove that no packet with the line is missing.

What the capture lacks is unknown, not wrong. Where octets of a client are missing (a hole in its sequence numbers,
octets that were acknowledged unseen, packets that were cut), nobody can tell which request an answer is for, and what
the client may send: only faults of a line by itself are violations from there on. The state goes on, since the server's
frames tell it. Where octets of the server are missing, or the capture begins in mid-stream, the state is unknown until
the server's frames tell it again. Names and partners are then inferred: from a push that names the partner, and from a
line that comes out, within a second, at one connection alone.
"""
