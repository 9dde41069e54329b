"""Legal variants of clients.

engines   the mutable client in which something that is left open is done otherwise
streams   how its lines, its frames and its end travel;  table  all variants;  __main__  one of them as a program
"""
