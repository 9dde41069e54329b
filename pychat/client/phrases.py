"""Everything that the client says to people: templates with named fields, and no code.

Another language is a class of the same shape in a file of its own, such as `phrases_de.py`, made of this one
(`class German(Phrases)`), and `start.py` chooses it. Verbs, states and the server's words come from the spec.
`{error}` and `{why}` are words of the connection, the session and the system: programs get them as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class Phrases:
    """The phrases, in English."""

    # Before the input line: what it is for
    prompt_name = "Your name: "
    prompt_call = "Chat with: "
    prompt_nothing = "> "
    prompt_chat = "To {name}: "
    prompt_chat_over = "To {name} (gone): "
    prompt_chat_before = "To {name} (earlier): "  # the same name calls again, and the line is not for this call

    # The status line: its user, and what can be done
    no_name = "no name"
    type_name = "type the name that you want"
    type_partner = "type a name to call that user"
    asking_name = "asking for the name {name}"
    calling = "calling {name} …"
    answering = "answering {name} …"
    called = "{name} is calling: your first line answers, /leave declines"
    called_old_draft = "{name} is calling: your draft is older than the call, Ctrl-C puts it away"
    waiting = "{name} has not answered yet, but gets your lines"
    in_chat = "in a chat with {name}"
    leaving = "leaving the chat"
    ending_call = "ending the call"
    silent = "no answer for {seconds} s"
    dead = "no answer for {seconds} s: the connection seems dead"

    # The status line without a connection
    not_connected = "not connected"
    connecting = "connecting …"
    next_attempt = "{why} · next attempt in {seconds} s"
    type_name_to_connect = "type your name to connect"

    # What came
    you_are = "You are {name}."
    you_are_again = "You are {name} again."
    one_here = "Here is {users}."
    many_here = "Here are {users}."
    nobody_here = "Nobody else is here yet. Others can call you: you are {name}."
    user = "{name} ({state})"
    calls_you = "{name} is calling you. Your first line answers the call, /leave declines it."
    calls_you_too = "{name} is calling you, too."  # while one's own call is on its way
    calls_you_at_once = "{name} calls you. /leave ends it."  # where a call needs no answer
    calling_now = "Calling {name} … Your lines reach {name} at once. /leave ends the call."
    partner_here = "{name} is here: you hear each other now. /leave ends the chat."
    partner_here_too_late = "{name} has answered, but you are ending the call."
    in_a_chat = "You are in a chat with {name}. /leave ends it."
    chat_accepted = "You and {name} hear each other now. /leave ends the chat."
    missed_call = "{name} called; you were busy."

    # How a call or a chat has ended, and what was missed meanwhile
    declined = "{name} has declined."
    did_not_answer = "{name} did not answer."
    you_did_not_answer = "You did not answer in time: {name} is not calling any more."
    call_ended: ClassVar[Mapping[str, str]] = {  # by the reason that the server has told; another one is shown as it is
        "left": "{name} hung up.",
        "quit": "{name} has quit: the call is over.",
        "lost": "The connection to {name} was lost: the call is over.",
        "timeout": "{name} was silent for too long: the call is over.",
    }
    call_ended_otherwise = "{name} is gone ({reason}): the call is over."
    chat_ended: ClassVar[Mapping[str, str]] = {
        "left": "{name} has left: the chat is over.",
        "quit": "{name} has quit: the chat is over.",
        "lost": "The connection to {name} was lost: the chat is over.",
        "timeout": "{name} was silent for too long: the chat is over.",
    }
    chat_ended_otherwise = "{name} is gone ({reason}): the chat is over."
    you_declined = "You have declined {name}'s call."
    you_stopped_calling = "You have stopped calling {name}."
    chat_over = "The chat is over."
    missed_one = "You missed a call from {name}."
    missed_many = "You missed calls from {names} and {name}."

    # What else came
    server_ends = "The server ends the connection: {words}"
    server_silent = "The server does not answer: the connection seems dead. Ctrl-C on an empty line ends the program."
    connection_lost = "The connection is lost: {error}"
    connected = "Connected to {address}. /help shows what you can do."
    connected_again = "Connected again."
    more_candidates = "{names}  … and {count} more"

    # What the server refused, in the server's words
    name_refused = "You cannot be {name}: {words}"
    own_name_refused = "You cannot be {name}: {words} Perhaps it is your lost connection that has it still."
    line_undelivered = "Your line did not reach {name}."
    lines_undelivered = "{count} of your lines did not reach {name}."
    line_refused = "Your line did not reach {name}: {words}"
    lines_refused = "{count} of your lines did not reach {name}: {words}"
    call_refused = "No chat with {name}: {words}"
    called_busy = "{name} is busy, and will see that you called."
    called_meanwhile = "{name} was not called, because a call for you came first."
    answered_too_late = "Your answer came too late: {name} is not calling any more."
    request_refused = "The server has refused that: {words}"

    # What was not sent
    not_sent = "Not sent: {error}"
    not_possible = "That is not possible now."
    line_too_long = "Not sent: the line has {count} octets, and {most} are the most."
    line_not_sayable = "Not sent: the line has a character that cannot be sent."
    not_called_called = "{other} was not called: {name} is calling you. Your first line answers, /leave declines it."
    not_called_calling = "{other} was not called: you are calling {name}. /leave ends the call."
    not_called_in_chat = "{other} was not called: you are in a chat with {name}. /leave ends it."
    calling_already = "You are calling {name} already, and {name} has not answered yet."
    answering_already = "You have answered {name} already."
    in_chat_already = "You are in a chat with {name} already."
    no_answer_yet = "Not sent: the server has not answered yet."
    not_sent_offline = "Not sent, because there is no connection."
    offline = "there is no connection"
    kept_chat_over = (
        "Not sent, because you typed it for {name}, and that chat is over. Ctrl-C puts it away, and Up brings it back."
    )
    kept_call_over = (
        "Not sent, because you typed it for {name}, and that call is over. Ctrl-C puts it away, and Up brings it back."
    )
    kept_called_again = (
        "Not sent, because you began it before {name} called again. Ctrl-C puts it away, and Up brings it back."
    )
    dropped_chat_over = "Nothing was sent, because you typed it for {name}, and that chat is over."
    dropped_call_over = "Nothing was sent, because you typed it for {name}, and that call is over."
    kept_called = "Not sent, because you began it before {name} called. Ctrl-C puts it away, and Up brings it back."
    kept_changed = "Not sent, because what it was for has changed. Ctrl-C puts it away, and Up brings it back."
    no_such_name = "{name} is no name. {form}"
    no_such_name_examples = "{name} is no name. {form} These are names: {examples}."
    in_no_chat = "You are in no chat."
    no_chat_for_line = "You are in no chat. Type the name of a user to call that user."
    take_name_first = "Take a name first."
    no_connection = "There is no connection."

    # Commands: how each is typed, and what it does
    commands: ClassVar[Mapping[str, tuple[str, str]]] = {
        "chat": ("/chat <name>", "calls a user, or answers that user's call"),
        "leave": ("/leave", "ends the chat or your call, or declines a call"),
        "who": ("/who", "shows who is here"),
        "raw": ("/raw", "shows the octets on the wire, or hides them"),
        "help": ("/help", "shows this"),
        "quit": ("/quit", "ends the program"),
    }
    no_such_command = "There is no /{word}. /help shows what there is; // at the start says a line that begins with /"
    usage = "It is used so: {usage}"
    help_before = "Type a name to call that user, then what you want to say."
    help_ring = "A call that nobody answers ends after {seconds} s."
    help_after = (
        "  Tab           completes commands and names;  Up and Down bring lines back",
        "  Ctrl-C        puts a line away;  on an empty one it ends the program",
    )

    # The octets on the wire
    wire_shown = "The octets on the wire are shown from now on: → sent, ← received. /raw stops it."
    wire_hidden = "The octets on the wire are not shown any more."
    wire_sent = "→ {count} octets  {text}"
    wire_received = "← {count} octets  {text}"
    wire_more = "  … and {count} more"

    # At the start, and without a terminal
    connecting_to = "Connecting to {address} … (Ctrl-C ends it)"
    no_cursor = "This terminal has no cursor. Commands: {commands}"
    cannot_print = "cannot print: {error}"
    plain_no_such_command = "no such command; there are {commands}"
    plain_no_words = "takes no words"
    plain_needs = "needs {fields}"
    plain_after_refused = "it follows a {verb} that was refused"
