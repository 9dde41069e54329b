"""Servers and clients that are broken on purpose, so that the judge can be judged.

mutant     what a mutant is, and the tables in which those are listed that are written by hand
reader     how the engines read a stream;  shared  mutants of both sides
program    the command line of both
server/    engine                  the correct server that they change;  __main__  its sockets
           rows, numbers           derived from each row of the spec's table, and from each of its numbers
           frames                  how frames are read and refused
           users_and_chats, lines  what becomes of users, chats and lines
           names, octets, amounts  what a library does unasked: to names, to octets, to much at once
           ordering_and_closing    the order and the ends of what is sent
client/    the same for clients: engine, rows, frames, requests_and_ending; calls  what they misunderstand of a call
"""
