"""Legal variants: right programs that do what the protocol leaves open in another way. The judge must pass each.

server, client   the variants of each side: a table, and each as a program;  trials  each of them judged whole
"""
