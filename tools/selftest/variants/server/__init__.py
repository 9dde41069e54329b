"""Legal variants of servers.

link      how octets travel between a server and its clients;  relay  a TCP relay that makes them travel so
engines   the mutable server in which something that is left open is done otherwise;  table  all variants
__main__  one variant as a program
"""
