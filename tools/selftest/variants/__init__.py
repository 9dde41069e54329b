"""Legal variants: right servers that do what the protocol leaves open in another way. The judge must pass each.

link      how octets travel between a server and its clients;  relay  a TCP relay that makes them travel so
servers   the mutable server in which something that is left open is done otherwise;  table  all variants
__main__  one variant as a program;  trials  each of them judged whole
"""
